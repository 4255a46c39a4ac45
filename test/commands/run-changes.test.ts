/** @file why, resume and diff: what they say about recipes that changed. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import { writeFakeRun } from "../support/fake-run.js";
import { fakeIo, SMALL_RECIPE } from "../support/recipes.js";

let directory: string;
let recipe: string;
let runs: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-changes-"));
  recipe = join(directory, "small.yaml");
  runs = join(directory, "runs");
  writeFileSync(
    recipe,
    SMALL_RECIPE.replaceAll(/: (text|chat)$/gm, ": $1.jsonl").replace(
      "text + chat",
      "text.jsonl + chat.jsonl",
    ),
  );
  writeFileSync(join(directory, "text.jsonl"), '{"text": "Call me Ishmael."}\n');
  writeFileSync(join(directory, "chat.jsonl"), chat("ho"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const chat = (answer: string) =>
  `{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "${answer}"}]}\n`;

async function dllm(...argv: string[]) {
  const io = fakeIo();
  const exitCode = await runCli([...argv, "--runs", runs], io);
  return { exitCode, stdout: io.stdout(), stderr: io.stderr() };
}

/** Writes the run's plan as an execution of the recipe would. */
async function record(...set: string[]): Promise<void> {
  const { stdout } = await dllm(
    "plan",
    recipe,
    "--json",
    ...set.flatMap((each) => ["--set", each]),
  );
  mkdirSync(join(runs, "small", "stages"), { recursive: true });
  writeFileSync(join(runs, "small", "plan.json"), stdout);
}

/** Text without what differs from run to run. */
const stable = (text: string) =>
  text.replaceAll(/\b[0-9a-f]{12}\b/g, "<fp>").replaceAll(directory, "<dir>");

describe("why", () => {
  test("says what differs, where it is written, down to the input that caused it", async () => {
    await record();
    writeFileSync(recipe, readFileSync(recipe, "utf8").replace("max_steps: 100", "max_steps: 120"));
    writeFileSync(join(directory, "chat.jsonl"), chat("hum"));
    const { exitCode, stdout, stderr } = await dllm("why", recipe, "sft");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stable(stdout).split("\n")).toEqual([
      "sft: run, inputs prepare-sft, prepare-tokenizer, pretrain change",
      "compared with the run so far:",
      "  fingerprint <fp> -> <fp>",
      "  input data: prepare-sft",
      "    fingerprint <fp> -> <fp>",
      "    dataset chat.jsonl changed: chat.jsonl (<dir>/small.yaml:15:17)",
      "    input tokenizer: prepare-tokenizer",
      "      fingerprint <fp> -> <fp>",
      "      dataset chat.jsonl changed: chat.jsonl (<dir>/small.yaml:8:42)",
      "  input tokenizer: prepare-tokenizer, see above",
      "  input model: pretrain",
      "    fingerprint <fp> -> <fp>",
      "    max_steps changed 100 -> 120 (<dir>/small.yaml:12:14)",
      "    input data: prepare-pretrain",
      "      fingerprint <fp> -> <fp>",
      "      input tokenizer: prepare-tokenizer, see above",
      "    input tokenizer: prepare-tokenizer, see above",
      "",
    ]);
    // A run whose recipe has changed says the same.
    expect((await dllm("why", "small", "sft")).stdout).toBe(stdout);
    const json = JSON.parse((await dllm("why", recipe, "pretrain", "--json")).stdout) as object;
    expect(json).toMatchObject({
      stage: "pretrain",
      action: "run",
      compared: "the run so far",
      changes: [expect.stringMatching(/^max_steps changed 100 -> 120/)],
      inputs: [{ input: "data" }, { input: "tokenizer" }],
    });
  });

  test("says when nothing differs, and when there is nothing to compare with", async () => {
    expect((await dllm("why", recipe, "sft")).stdout).toBe(
      "sft: run, no artifact yet\nthere is no run before it to compare with\n",
    );
    await record();
    expect(stable((await dllm("why", recipe, "sft")).stdout)).toBe(
      "sft: run, no artifact yet\ncompared with the run so far:\n  nothing differs: fingerprint <fp> as before\n",
    );
    expect(await dllm("why", recipe, "nosuch")).toEqual({
      exitCode: 66,
      stdout: "",
      stderr:
        'error: no stage "nosuch" in small\n' +
        "  it has: prepare-tokenizer, prepare-pretrain, prepare-sft, pretrain, sft, eval-pretrain, eval, export\n",
    });
  });

  test("of a run as it is: what its newest execution had other than the one before", async () => {
    await record("sft.learning_rate=1e-3");
    const event = (time: string) => {
      const { stages } = JSON.parse(readFileSync(join(runs, "small", "plan.json"), "utf8")) as {
        stages: {
          id: string;
          fingerprint: string;
          params: object;
          inputs: Record<string, string>;
        }[];
      };
      for (const { id, fingerprint, params, inputs } of stages) {
        const working = join(runs, ".store", "stages", fingerprint);
        mkdirSync(working, { recursive: true });
        const outputs = Object.entries(inputs).map(([name, input]) => {
          const made = stages.find((stage) => stage.id === input)!.fingerprint;
          return [name, join(runs, ".store", "stages", made, "output")];
        });
        const job = {
          schema: 1,
          id,
          fingerprint,
          params,
          inputs: Object.fromEntries(outputs) as object,
        };
        writeFileSync(join(working, "spec.json"), JSON.stringify(job));
      }
      return `${JSON.stringify({ time, elapsed_s: 0, event: "run-started", stages })}\n`;
    };
    const first = event("2026-01-15T09:30:00.000Z");
    await record();
    const second = event("2026-01-16T09:30:00.000Z");
    writeFileSync(join(runs, "small", "journal.jsonl"), first + second);
    expect(
      stable((await dllm("why", "small", "eval")).stdout)
        .split("\n")
        .slice(1),
    ).toEqual([
      "compared with the run of 2026-01-15T09:30:00.000Z:",
      "  fingerprint <fp> -> <fp>",
      "  input model: sft",
      "    fingerprint <fp> -> <fp>",
      "    learning_rate changed 0.001 -> 0.0003 (<dir>/small.yaml:17:18)",
      "",
    ]);
    // Without its recipe it cannot say where, but what.
    rmSync(recipe);
    const blind = await dllm("why", "small", "sft");
    expect(stable(blind.stderr)).toBe(
      "warning: its recipe cannot be read, positions are missing: the recipe of run small is gone: <dir>/small.yaml\n",
    );
    expect(blind.stdout).toContain("  learning_rate changed 0.001 -> 0.0003\n");
  });
});

describe("resume", () => {
  test("says what the changed recipe runs anew, and runs it", async () => {
    await record("sft.max_steps=5");
    writeFileSync(recipe, readFileSync(recipe, "utf8").replace("0.0003", "0.001"));
    // There is no compiled stage process beside the sources: the first stage fails at once.
    const { exitCode, stderr } = await dllm("resume", "small");
    expect(exitCode).toBe(1);
    expect(stable(stderr).split("\n").slice(0, 4)).toEqual([
      "changed since the run was started: 3 of 8 stages",
      "  run  sft  learning_rate changed 0.0003 -> 0.001 (<dir>/small.yaml:17:18)",
      "  run  eval  input sft changes",
      "  run  export  inputs sft, eval change",
    ]);
    expect(stderr).toContain("stage prepare-tokenizer: its process ended with exit code 1");
    // The overrides of the run stay.
    const plan = JSON.parse(readFileSync(join(runs, "small", "plan.json"), "utf8")) as object;
    expect(plan).toMatchObject({ invocation: { recipe, set: ["sft.max_steps=5"] } });
  });

  test("refuses a recipe that is gone, or is that of another run by now", async () => {
    await record();
    writeFileSync(recipe, readFileSync(recipe, "utf8").replace("name: small", "name: other"));
    expect(await dllm("resume", "small")).toEqual({
      exitCode: 65,
      stdout: "",
      stderr: `error: ${recipe} is now the recipe of another run: other\n  start that one with: dllm run ${recipe} --runs ${runs}\n`,
    });
    rmSync(recipe);
    expect(await dllm("resume", "small")).toEqual({
      exitCode: 66,
      stdout: "",
      stderr: `error: the recipe of run small is gone: ${recipe}\n  if it was moved: dllm run <its new place>; what is finished is reused\n`,
    });
  });
});

test("diff shows where two recipes differ and their figures side by side", async () => {
  writeFakeRun(directory, "first");
  writeFakeRun(directory, "second");
  const path = join(runs, "second", "recipe.resolved.json");
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace('"learning_rate": 0.0007', '"learning_rate": 0.001'),
  );
  const stage = join(runs, "second", "stages", "eval");
  const results = readFileSync(join(stage, "output", "results.json"), "utf8");
  rmSync(stage);
  mkdirSync(join(stage, "output"), { recursive: true });
  writeFileSync(
    join(stage, "output", "results.json"),
    results.replace('"value": 0.131', '"value": 0.125'),
  );
  writeFileSync(
    join(stage, "result.json"),
    readFileSync(join(runs, "first", "stages", "eval", "result.json"), "utf8"),
  );
  const { exitCode, stdout, stderr } = await dllm("diff", "first", "second");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const lines = stdout.split("\n");
  expect(lines.slice(0, 5)).toEqual([
    "recipe             first   second",
    "name               first   second",
    "sft.learning_rate  0.0007  0.001",
    "",
    expect.stringMatching(/^figure +first +second +difference$/),
  ]);
  const figure = (start: RegExp) =>
    lines.find((line) => start.test(line))?.replaceAll(/  +/g, "  ");
  expect(figure(/^eval {2}heldout_likelihood {2}nll/)).toBe(
    "eval  heldout_likelihood  nll  0.131  0.125  -0.006",
  );
  expect(figure(/^eval-pretrain {2}heldout_likelihood {2}nll/)).toBe(
    "eval-pretrain  heldout_likelihood  nll  4.62  4.62  same",
  );
  expect(figure(/^pretrain {2}seconds/)).toBe("pretrain  seconds  2 min 02 s  2 min 02 s  same");
  const json = JSON.parse((await dllm("diff", "first", "first", "--json")).stdout) as object;
  expect(json).toMatchObject({ runs: ["first", "first"], recipe: [] });
  // Of one recipe in two places, the places tell the runs apart.
  const place = join(runs, "first");
  expect((await dllm("diff", place, "first")).stdout).toMatch(
    /^figure +\S+\/first +first +difference$/m,
  );
  expect((await dllm("diff", "first", "nosuch")).exitCode).toBe(66);
});
