/** @file The options of `dllm run` on the command line, and `--dry-run`. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExitCode } from "../../src/base/errors.js";
import { runCli } from "../../src/cli.js";
import type { RunCommand } from "../../src/commands/command.js";
import { commandModules, runProgram } from "../../src/commands/program.js";
import { settleOptions } from "../../src/commands/run-options.js";
import { fakeIo, SMALL_RECIPE } from "../support/recipes.js";

let directory: string;
let recipe: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-run-"));
  recipe = join(directory, "small.yaml");
  writeFileSync(
    recipe,
    SMALL_RECIPE.replaceAll(/: (text|chat)$/gm, ": $1.jsonl").replace(
      "text + chat",
      "text.jsonl + chat.jsonl",
    ),
  );
  writeFileSync(join(directory, "text.jsonl"), '{"text": "Call me Ishmael."}\n');
  writeFileSync(
    join(directory, "chat.jsonl"),
    '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n',
  );
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function dllm(...argv: string[]) {
  const io = fakeIo();
  const exitCode = await runCli(argv, io);
  return { exitCode, stdout: io.stdout(), stderr: io.stderr() };
}

test("options of a run: times, counts and names reach it; wrong ones are usage errors", async () => {
  const seen: unknown[] = [];
  const record: RunCommand = (_args, options) => {
    seen.push(settleOptions(options));
    return Promise.resolve(ExitCode.ok);
  };
  const modules = { ...commandModules, run: () => Promise.resolve({ run: record }) };
  const dllmRun = (...argv: string[]) => runProgram(["run", "r.yaml", ...argv], fakeIo(), modules);
  await dllmRun();
  expect(seen.at(-1)).toMatchObject({
    ...{ jobs: 1, keepGoing: false, until: [], from: [], retries: 2, force: false, quiet: false },
    ...{ graceMs: 120_000, stallTimeoutMs: 1_800_000 },
  });
  expect(seen.at(-1)).not.toHaveProperty("timeoutMs");
  await dllmRun("-kqj", "4", "--until", "a,b", "--until", "c", "--grace", "1.5m");
  expect(seen.at(-1)).toMatchObject({ jobs: 4, keepGoing: true, quiet: true, graceMs: 90_000 });
  expect(seen.at(-1)).toMatchObject({ until: ["a", "b", "c"] });
  await dllmRun("--stall-timeout", "0", "--timeout", "2h", "--retries", "0", "--from", "x");
  expect(seen.at(-1)).toMatchObject({ stallTimeoutMs: 0, timeoutMs: 7_200_000, retries: 0 });
  for (const wrong of [
    ["--jobs", "0"],
    ["--grace", "soon"],
    ["--retries", "-1"],
  ]) {
    expect((await dllm("run", recipe, ...wrong)).exitCode).toBe(2);
  }
});

test("run --dry-run is the plan, writes nothing, and names what is selected", async () => {
  const runs = join(directory, "dry-runs");
  const plan = await dllm("plan", recipe, "--runs", runs);
  expect(await dllm("run", recipe, "-n", "--runs", runs)).toEqual(plan);
  const part = await dllm("run", recipe, "-n", "--runs", runs, "--until", "pretrain");
  expect(part.stdout).toBe(plan.stdout);
  expect(part.stderr).toBe(
    "--until and --from leave: prepare-tokenizer, prepare-pretrain, pretrain\n",
  );
  const typo = await dllm("run", recipe, "--runs", runs, "--until", "pretrian");
  expect(typo.exitCode).toBe(2);
  expect(typo.stderr).toContain('did you mean "pretrain"?');
  expect(existsSync(runs)).toBe(false);
});

test("an engine or a device that this machine has not is refused before anything starts", async () => {
  const { reasonAgainst } = await import("../../src/engine/probe.js");
  if ((await reasonAgainst("cuda")) === undefined)
    return console.log("skipped: there is CUDA here");
  const runs = join(directory, "no-cuda");
  const refused = await dllm("run", recipe, "--runs", runs, "hardware.device=cuda");
  expect(refused.exitCode).toBe(ExitCode.environment);
  expect(refused.stderr).toContain("engine onnx cannot compute on cuda here");
  expect(refused.stderr).toContain("hardware: {engine: onnx, device: cpu}");
  expect(existsSync(join(runs, "small"))).toBe(false);
});
