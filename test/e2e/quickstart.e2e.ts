/**
 * @file The quickstart as a newcomer runs it: it learns, a second run does nothing, a changed
 * learning rate reruns what depends on it, and a killed run ends with the same bytes.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const root = resolve(fileURLToPath(import.meta.url), "../../..");
const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function freshRuns(): string {
  const directory = mkdtempSync(join(tmpdir(), "dllm-e2e-"));
  directories.push(directory);
  return directory;
}

interface Event {
  event: string;
  stage?: string;
  step?: number;
  [field: string]: unknown;
}

/** Runs `dllm` and returns its exit code and stdout; `onLine` sees each line of stdout. */
function dllm(
  args: readonly string[],
  onLine: (line: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string }> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [join(root, "bin/dllm.js"), ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let stdout = "";
    let partial = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      partial += text;
      const lines = partial.split("\n");
      partial = lines.pop()!;
      for (const line of lines) onLine(line, (signal) => child.kill(signal));
    });
    child.on("error", fail);
    child.on("close", (code, signal) => done({ code, signal, stdout }));
  });
}

const recipe = "recipes/quickstart.yaml";
const sha256 = (file: string): string =>
  createHash("sha256").update(readFileSync(file)).digest("hex");

interface Result {
  stage: string;
  task: string;
  metric: string;
  value: number;
}

test("the quickstart learns at least four skills, and a second run has nothing to do", async () => {
  const runs = freshRuns();
  const first = await dllm(["run", recipe, "--runs", runs]);
  expect(first.code).toBe(0);
  const { stdout } = await dllm(["results", "quickstart", "--runs", runs, "--json"]);
  const results = JSON.parse(stdout) as Result[];
  const bySkill = (stage: string): Result[] =>
    results.filter((result) => result.stage === stage && result.task.startsWith("exact_match:"));
  console.log(
    bySkill("eval")
      .map(({ task, value }) => `${task} ${value}`)
      .join("\n"),
  );
  expect(bySkill("eval").filter(({ value }) => value >= 0.9).length).toBeGreaterThanOrEqual(4);
  for (const { value } of bySkill("eval-pretrain")) expect(value).toBeLessThan(0.05);

  const output = join(runs, "quickstart/stages/export/output");
  for (const file of ["config.json", "model.safetensors", "model.onnx", "README.md"]) {
    expect(existsSync(join(output, file)), file).toBe(true);
  }
  expect(existsSync(join(runs, "quickstart/report.html"))).toBe(true);

  const second = await dllm(["run", recipe, "--runs", runs]);
  expect(second.code).toBe(0);
  expect(second.stdout).toContain("nothing to do");

  const plan = await dllm([
    ...["plan", recipe, "--runs", runs, "--json"],
    ...["--set", "sft.learning_rate=3e-4"],
  ]);
  const { stages } = JSON.parse(plan.stdout) as { stages: { id: string; action: string }[] };
  const rerun = stages.filter(({ action }) => action === "run").map(({ id }) => id);
  expect(rerun).toEqual(["sft", "eval", "export"]);

  const { stdout: answer } = await dllm([
    ...["sample", "quickstart", "--runs", runs, "--json"],
    ...["--prompt", "What is the capital of Japan?"],
  ]);
  expect((JSON.parse(answer) as { text: string }).text).toBe("Tokyo");
});

test("killed at random moments and run again: the same weights, bytes and records", async () => {
  const short = ["--set", "pretrain.max_steps=60", "--set", "sft.max_steps=120"];
  const quick = [...short, "--set", "sft.save_steps=0.2", "--set", "eval.limit=20"];
  const whole = freshRuns();
  expect((await dllm(["run", recipe, "--runs", whole, ...quick])).code).toBe(0);

  const killed = freshRuns();
  let kills = 0;
  let outcome;
  do {
    const killAfterMs = 4000 + kills * 3500;
    let timer: NodeJS.Timeout | undefined;
    outcome = await dllm(["run", recipe, "--runs", killed, "--json", ...quick], (line, kill) => {
      const { event } = JSON.parse(line) as Event;
      if (event !== "" && kills < 4) timer ??= setTimeout(() => kill("SIGKILL"), killAfterMs);
    });
    clearTimeout(timer);
    if (outcome.signal === "SIGKILL") kills++;
  } while (outcome.signal === "SIGKILL");
  expect(outcome.code).toBe(0);
  expect(kills).toBeGreaterThan(0);
  console.log(`killed ${kills} times`);
  for (const stage of ["pretrain", "sft", "export"]) {
    const file = (runs: string): string =>
      join(runs, "quickstart/stages", stage, "output/model.safetensors");
    expect(sha256(file(killed)), stage).toBe(sha256(file(whole)));
  }
});
