import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import type { PlanCommand, SampleCommand } from "../../src/commands/command.js";
import { commandModules, packageVersion, runProgram } from "../../src/commands/program.js";
import { summarise } from "../../src/report/plan-view.js";
import { planRun } from "../../src/plan/plan.js";
import { ExitCode } from "../../src/base/errors.js";
import { fakeIo, fakePins, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";

let directory: string;
let recipe: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-cli-"));
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

test("--version and --help", async () => {
  expect(await dllm("--version")).toEqual({
    exitCode: 0,
    stdout: `${packageVersion()}\n`,
    stderr: "",
  });
  const help = await dllm("--help");
  expect(help.exitCode).toBe(0);
  for (const name of Object.keys(commandModules)) expect(help.stdout).toContain(`  ${name} `);
});

test.each([
  [["plna", "x"], "error: unknown command 'plna'\n(Did you mean plan?)"],
  [["plan"], "error: missing required argument 'recipe'"],
  [["ls", "x", "y"], "error: too many arguments for 'ls'. Expected 1 argument but got 2."],
  [["plan", "x", "--jsno"], "error: unknown option '--jsno'\n(Did you mean --json?)"],
  [["sample", "m"], "error: required option '--prompt <text...>' not specified"],
  [
    ["sample", "m", "--prompt", "p", "--steps", "0"],
    "error: option '--steps <n>' argument '0' is invalid. Expected an integer at least 1.",
  ],
  [
    ["chat", "m", "--temperature", "warm"],
    "error: option '--temperature <t>' argument 'warm' is invalid. Expected a number at least 0.",
  ],
])("usage error: %j", async (argv, message) => {
  const { exitCode, stdout, stderr } = await dllm(...argv);
  expect(exitCode).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toBe(`${message}\n(add --help for what is possible)\n`);
});

test("what comes after a recipe is an override", async () => {
  for (const command of ["plan", "run"]) {
    expect(await dllm(command, recipe, "seed=1", "sft")).toEqual({
      exitCode: 2,
      stdout: "",
      stderr:
        "error: unexpected argument sft\n" +
        "  after the recipe come values to write over it, as in sft.learning_rate=3e-4\n",
    });
  }
  const { stderr } = await dllm("validate", recipe, "seed=1", "sft.max_steps=0", "seed=x");
  expect(stderr).toBe(
    "error: --set sft.max_steps=0: max_steps is 0, expected -1 or an integer at least 1\n" +
      '--set seed=x: seed is "x", expected an integer at least 0 and at most 9007199254740991\n' +
      `2 problems in ${recipe}\n`,
  );
});

test("no command: help on stderr and a usage error", async () => {
  const { exitCode, stdout, stderr } = await dllm();
  expect(exitCode).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain("Usage: dllm [options] [command]");
});

test("options reach their command", async () => {
  const seen: unknown[] = [];
  const recordPlan: PlanCommand = (args, options) => {
    seen.push([args, options]);
    return Promise.resolve(ExitCode.ok);
  };
  const recordSample: SampleCommand = (args, options) => {
    seen.push([args, options]);
    return Promise.resolve(ExitCode.stageFailed);
  };
  const modules = {
    ...commandModules,
    plan: () => Promise.resolve({ run: recordPlan }),
    sample: () => Promise.resolve({ run: recordSample }),
  };
  await runProgram(
    ["plan", "r.yaml", "c=2", "--set", "a=1", "--profile", "p", "--set", "b=x y", "d=3"],
    fakeIo(),
    modules,
  );
  const code = await runProgram(
    ["sample", "m", "--prompt", "p", "--prompt", "q", "--steps", "8", "--temperature", "0.5"],
    fakeIo(),
    modules,
  );
  expect(code).toBe(1);
  expect(seen[0]).toEqual([
    ["r.yaml", ["c=2", "d=3"]],
    {
      set: ["a=1", "b=x y"],
      profile: ["p"],
      runs: "runs",
      json: false,
      frozen: false,
      format: "tree",
    },
  ]);
  expect(seen[1]).toMatchObject([
    ["m"],
    { prompt: ["p", "q"], steps: 8, temperature: 0.5, seed: 42, runs: "runs", json: false },
  ]);
});

test("validate", async () => {
  expect(await dllm("validate", recipe)).toEqual({
    exitCode: 0,
    stdout: `${recipe} is valid\n`,
    stderr: "",
  });
  expect(await dllm("validate", recipe, "--set", "sft.max_steps=0")).toEqual({
    exitCode: 65,
    stdout: "",
    stderr: "error: --set sft.max_steps=0: max_steps is 0, expected -1 or an integer at least 1\n",
  });
  const invalid = await dllm("validate", recipe, "--json", "--set", "sft.max_steps=0");
  expect(invalid.exitCode).toBe(65);
  expect(invalid.stderr).toBe("");
  expect(JSON.parse(invalid.stdout)).toEqual({
    file: recipe,
    valid: false,
    issues: [
      {
        position: "--set sft.max_steps=0",
        line: 1,
        column: 1,
        message: "max_steps is 0, expected -1 or an integer at least 1",
        details: [],
      },
    ],
  });
});

test("validate takes several files, and a part is no recipe with a problem", async () => {
  const directory = mkdtempSync(join(tmpdir(), "dllm-test-"));
  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const part = write("part.yaml", "sft: {learning_rate: '${lr}', max_length: 8}\n");
  const typo = write("typo.yaml", "sft: {learning_rte: 1}\n");
  const valid = await dllm("validate", recipe, part);
  expect(valid.stderr).toBe("");
  expect(valid.exitCode).toBe(0);
  expect(valid.stdout).toMatch(/small\.yaml is valid\n.*part\.yaml is a part \(it has no name\)/);
  const mixed = await dllm("validate", typo, join(directory, "absent.yaml"), recipe);
  expect(mixed.exitCode).toBe(65);
  expect(mixed.stderr).toContain('typo.yaml:1:7: unknown key "learning_rte" in sft');
  expect(mixed.stderr).toContain("absent.yaml does not exist");
  expect(mixed.stdout).toBe(`${recipe} is valid\n`);
});

test("validate reads the grammar of dataset_args", async () => {
  const { exitCode, stderr } = await dllm("validate", recipe, "--set", "sft.dataset_args=a[x]");
  expect(exitCode).toBe(65);
  expect(stderr).toMatch(/^error: --set sft\.dataset_args=a\[x\]: /);
});

test("a recipe that is not there", async () => {
  expect(await dllm("plan", "absent.yaml")).toEqual({
    exitCode: 66,
    stdout: "",
    stderr:
      "error: recipe absent.yaml does not exist\n  start from a copy of recipes/quickstart.yaml\n",
  });
});

test("plan shows each stage, what will be done with it and why, and writes nothing", async () => {
  const runs = join(directory, "runs");
  const { exitCode, stdout, stderr } = await dllm("plan", recipe, "--runs", runs);
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
  // How much memory there is depends on the machine.
  const lines = stdout.split("\n").map((line) => line.replace(/of [\d.]+ GiB/, "of <memory>"));
  expect(lines).toEqual([
    `small (${recipe})`,
    "",
    "prepare-tokenizer       run     no artifact yet",
    "├─ prepare-sft          run     no artifact yet",
    "│  ├─ eval-pretrain (below)",
    "│  └─ sft (below)",
    "└─ prepare-pretrain     run     no artifact yet",
    "   └─ pretrain          run     no artifact yet",
    "      │  onnx engine: one device; local launcher: the onnx engine computes on",
    "      │    this machine",
    "      │  5.27 M parameters; 100 steps of up to 1,024 tokens, 33.3 GFLOP each",
    "      │  memory about 0.75 GiB of <memory> per device, most of it: activations",
    "      ├─ eval-pretrain  run     no artifact yet",
    "      │  └─ export (below)",
    "      └─ sft            run     no artifact yet",
    "         │  onnx engine: one device; local launcher: the onnx engine computes",
    "         │    on this machine",
    "         │  5.27 M parameters; steps of up to 2,048 tokens, 68.9 GFLOP each",
    "         │  memory about 1.3 GiB of <memory> per device, most of it:",
    "         │    activations",
    "         └─ eval        run     no artifact yet",
    "            └─ export   run     no artifact yet",
    "",
    "8 of 8 stages to run, 0 reused",
    "",
  ]);
  const { existsSync } = await import("node:fs");
  expect(existsSync(runs)).toBe(false);
});

test("plan --json", async () => {
  const { stdout } = await dllm("plan", recipe, "--json", "--runs", join(directory, "runs"));
  const plan = JSON.parse(stdout) as { stages: Record<string, unknown>[] };
  expect(plan.stages).toHaveLength(8);
  expect(plan.stages[4]).toMatchObject({
    id: "sft",
    kind: "sft",
    action: "run",
    reason: "no artifact yet",
    needs: ["prepare-sft", "prepare-tokenizer", "pretrain"],
    engine: "onnx",
    launcher: "local",
  });
  expect(plan.stages[4]!["fingerprint"]).toMatch(/^[0-9a-f]{64}$/);
});

test("a dataset, tokenizer or model that is missing is reported where the recipe names it", async () => {
  const missingData = await dllm("plan", recipe, "--set", "sft.dataset_args=nowhere");
  expect(missingData.exitCode).toBe(66);
  expect(missingData.stderr).toMatch(/^error: --set sft\.dataset_args=nowhere: "nowhere": no such/);
  expect(missingData.stderr).not.toContain("    at ");

  mkdirSync(join(directory, "empty"), { recursive: true });
  const file = join(directory, "model.yaml");
  writeFileSync(
    file,
    "name: m\nmodel:\n  name_or_path: empty\nsft: {dataset_args: chat.jsonl, max_length: 64}\n",
  );
  const noConfig = await dllm("plan", file);
  expect(noConfig.exitCode).toBe(66);
  expect(noConfig.stderr).toBe(`error: ${file}:3:17: model empty has no config.json
  3 |   name_or_path: empty
    |                 ^^^^^
  looked in ${join(directory, "empty")}
`);
  writeFileSync(join(directory, "empty", "config.json"), "{}");
  expect((await dllm("plan", file)).stderr).toContain(
    "model empty has no weights in safetensors format",
  );
  writeFileSync(join(directory, "empty", "model.safetensors"), "");
  expect((await dllm("plan", file)).stderr).toContain("model empty has no tokenizer.json");
  writeFileSync(join(directory, "empty", "tokenizer.json"), "{}");
  expect((await dllm("plan", file)).exitCode).toBe(0);
});

test("the summary of a plan with nothing to do", () => {
  const inputs = { loaded: smallRecipe(), ...fakePins(), cores: 1, previous: undefined };
  const done = planRun({ ...inputs, existing: () => ({ state: "finished" }) });
  expect(summarise(done.stages)).toBe("nothing to do: all 8 stages are finished");
  const some = planRun({ ...inputs, existing: () => ({ state: "checkpoint", step: 3 }) });
  expect(summarise(some.stages)).toBe("8 of 8 stages to run (8 from a checkpoint), 0 reused");
});

test("schema prints the committed file", async () => {
  const { stdout } = await dllm("schema");
  const { readFileSync } = await import("node:fs");
  expect(stdout).toBe(readFileSync("schemas/recipe.schema.json", "utf8"));
});

test("an unknown error is a bug: exit 70, one hint, no stack trace unless asked for", async () => {
  const io = fakeIo();
  const broken = Object.defineProperty({ ...io }, "out", {
    value: () => {
      throw new Error("broken\u001b[31m pipe");
    },
  });
  expect(await runCli(["validate", recipe], broken)).toBe(70);
  expect(io.stderr()).toBe(
    "error: broken pipe\n" +
      "  this is a bug in dllm: please report it with the output of the same command under DLLM_DEBUG=1\n",
  );
  process.env["DLLM_DEBUG"] = "1";
  try {
    await runCli(["validate", recipe], broken);
  } finally {
    delete process.env["DLLM_DEBUG"];
  }
  expect(io.stderr()).toContain("    at ");
});
