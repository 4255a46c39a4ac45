/** @file What `dllm doctor` reports, and that it shows no secret. */
import { afterEach, expect, test, vi } from "vitest";
import { ExitCode } from "../../src/base/errors.js";
import { run, type Finding } from "../../src/commands/doctor.js";
import type { CommandIo } from "../../src/commands/command.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

async function doctor(json: boolean): Promise<{ exitCode: number; text: string }> {
  const lines: string[] = [];
  const io = { out: (line: string) => void lines.push(line) } as unknown as CommandIo;
  const exitCode = await run([], { json, runs: "runs" }, io);
  return { exitCode, text: lines.join("\n") };
}

test("finds Node, ONNX Runtime and programs, and says why a device cannot be used", async () => {
  vi.stubEnv("PATH", "/nowhere");
  const { exitCode, text } = await doctor(true);
  const findings = new Map(
    (JSON.parse(text) as Finding[]).map((finding) => [finding.name, finding]),
  );
  expect(exitCode).toBe(ExitCode.ok);
  expect(findings.get("node")).toEqual({
    name: "node",
    status: "ok",
    detail: process.versions.node,
  });
  expect(findings.get("onnxruntime cpu")?.status).toBe("ok");
  // The CUDA provider is no part of the package.
  expect(findings.get("onnxruntime cuda")?.status).toBe("missing");
  expect(findings.get("onnxruntime cuda")?.detail).toContain("provider");
  expect(findings.get("flock")).toEqual({
    name: "flock",
    status: "missing",
    detail: "not on PATH: locks that end with their process; without it a file names the owner",
  });
});

test("says that a secret is set without showing it", async () => {
  vi.stubEnv("WANDB_API_KEY", "top-secret");
  vi.stubEnv("HF_TOKEN", "");
  const { text } = await doctor(false);
  expect(text).toMatch(/^ok +WANDB_API_KEY +set$/m);
  expect(text).toMatch(/^unset +HF_TOKEN +not set$/m);
  expect(text).not.toContain("top-secret");
});
