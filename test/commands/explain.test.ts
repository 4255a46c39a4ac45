/** @file `dllm explain`: who set a value, what that was laid over, what it reaches. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import { fakeIo } from "../support/recipes.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-explain-"));
  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
  };
  write(
    "base.yaml",
    `edition: report
model: {preset: bert-base-cased, config: {num_hidden_layers: 2}}
tokenizer: {train: {vocab_size: 512, dataset_args: text.jsonl}}
pretrain:
  dataset_args: text.jsonl
  learning_rate: 1e-4
  max_steps: 100
profiles:
  smoke: {pretrain: {max_steps: 4}}
`,
  );
  write(
    "r.yaml",
    `name: r
extends: base.yaml
vars: {lr: 2e-4}
pretrain:
  learning_rate: \${lr}
  max_steps: 50
  weight_decay: \${env:DLLM_TEST_DECAY}
eval: {benchmarks: {mmlu: {}}}
profiles:
  smoke: {pretrain: {max_steps: 2}, eval: {benchmarks: null}}
`,
  );
  write("text.jsonl", '{"text": "Call me Ishmael."}\n');
  process.env["DLLM_TEST_DECAY"] = "0.5";
});
afterAll(() => {
  delete process.env["DLLM_TEST_DECAY"];
  rmSync(directory, { recursive: true });
});

async function explain(...args: string[]): Promise<string> {
  const io = fakeIo();
  const exitCode = await runCli(["explain", join(directory, "r.yaml"), ...args], io);
  const text = exitCode === 0 ? io.stdout() : `exit ${exitCode}\n${io.stderr()}`;
  return text.replaceAll(`${directory}/`, "");
}

test("a value of the recipe that is laid over an inherited one", async () => {
  expect(await explain("pretrain.max_steps")).toMatchInlineSnapshot(`
    "pretrain.max_steps: 50
      Optimizer steps; -1 leaves it to num_train_epochs.
      set by     r.yaml:6:14
      overrides  100 of base.yaml:7:14
      reaches    pretrain: train.max_steps
    "
  `);
});

test("a profile over both, and --set over all", async () => {
  expect(await explain("pretrain.max_steps", "--profile", "smoke", "pretrain.max_steps=3"))
    .toMatchInlineSnapshot(`
    "pretrain.max_steps: 3
      Optimizer steps; -1 leaves it to num_train_epochs.
      set by     --set pretrain.max_steps=3
      overrides  2 of r.yaml:10:33 (profile smoke)
      overrides  4 of base.yaml:9:33 (profile smoke)
      overrides  50 of r.yaml:6:14
      overrides  100 of base.yaml:7:14
      reaches    pretrain: train.max_steps
    "
  `);
});

test("a variable, and an environment variable", async () => {
  expect(await explain("pretrain.learning_rate")).toMatchInlineSnapshot(`
    "pretrain.learning_rate: 0.0002
      Peak learning rate.
      set by     r.yaml:3:12 (\${lr} at r.yaml:5:18)
      overrides  0.0001 of base.yaml:6:18
      reaches    pretrain: train.learning_rate
    "
  `);
  expect(await explain("pretrain.weight_decay")).toMatchInlineSnapshot(`
    "pretrain.weight_decay: 0.5
      AdamW's weight decay (not on biases and norms).
      set by     r.yaml:7:17 (\${env:DLLM_TEST_DECAY} at r.yaml:7:17)
      reaches    pretrain: train.weight_decay
    "
  `);
  expect(await explain("pretrain.learning_rate", "vars.lr=3e-4")).toMatchInlineSnapshot(`
    "pretrain.learning_rate: 0.0003
      Peak learning rate.
      set by     --set vars.lr=3e-4 (\${lr} at r.yaml:5:18)
      overrides  0.0002 of r.yaml:3:12 (variable lr)
      overrides  0.0001 of base.yaml:6:18
      reaches    pretrain: train.learning_rate
    "
  `);
});

test("an inherited value", async () => {
  expect(await explain("tokenizer.train.vocab_size")).toMatchInlineSnapshot(`
    "tokenizer.train.vocab_size: 512
      Number of tokens, special tokens included.
      set by     base.yaml:3:33
      reaches    prepare-tokenizer: tokenizer.vocab_size
    "
  `);
});

test("defaults: of the edition, of the preset, of the schema", async () => {
  expect(await explain("mask.loss_norm_type")).toMatchInlineSnapshot(`
    "mask.loss_norm_type: sequence
      The loss is averaged over maskable tokens, per sequence, or per batch row.
      set by     the default of edition report, base.yaml:1:10
      reaches    pretrain: mask.loss_norm_type
                 eval: mask.loss_norm_type
    "
  `);
  expect(await explain("model.config.layer_norm_eps")).toMatchInlineSnapshot(`
    "model.config.layer_norm_eps: 1e-12
      Added to the variance in layer normalisation.
      set by     the value of preset bert-base-cased, base.yaml:2:17
      reaches    pretrain: model.config.layer_norm_eps
    "
  `);
  expect(await explain("pretrain.warmup_ratio")).toMatchInlineSnapshot(`
    "pretrain.warmup_ratio: 0.1
      Share of all steps in which the learning rate rises from 0.
      set by     the default
      reaches    pretrain: train.warmup_ratio
    "
  `);
  expect(await explain("eval.benchmarks.mmlu.mc_num")).toMatchInlineSnapshot(`
    "eval.benchmarks.mmlu.mc_num: 128
      Noised copies of each choice; a multiple of batch_size.
      set by     the default of edition report, base.yaml:1:10
      reaches    eval-mmlu: settings.mc_num
    "
  `);
});

test("a key that is not written and has no default, one that reaches no stage, a section", async () => {
  expect(await explain("model.revision")).toMatchInlineSnapshot(`
    "model.revision: not there
      Branch, tag or commit of a Hugging Face model; by default \`main\`.
      set by     nobody
    "
  `);
  expect(await explain("name")).toMatchInlineSnapshot(`
    "name: r
      Name of the run: its files go to runs/<name>/.
      set by     r.yaml:1:7
      reaches    no parameter of a stage: it says how the recipe is run, composed or named
    "
  `);
  expect(await explain("model", "--profile", "smoke")).toMatchInlineSnapshot(`
    "model: {"preset":"bert-base-cased","family":"bert","config":{"hidd…
      The model: from scratch (preset, config) or an existing one (name_or_path).
      set by     base.yaml:2:1
      reaches    pretrain: model.source, model.family, model.config.hidden_size, model.config.num_hidden_layers and 9 more
    "
  `);
});

test("a key that no recipe has", async () => {
  expect(await explain("pretrain.max_step")).toMatchInlineSnapshot(`
    "exit 66
    error: r.yaml has no key "pretrain.max_step"
      did you mean "pretrain.max_steps"?
      dllm explain r.yaml lists all keys
    "
  `);
  expect(await explain("max_steps")).toMatchInlineSnapshot(`
    "exit 66
    error: r.yaml has no key "max_steps"
      did you mean "pretrain.max_steps"?
      dllm explain r.yaml lists all keys
    "
  `);
  expect(await explain("name", "seed")).toMatchInlineSnapshot(`
    "exit 2
    error: explain takes one key, found also seed
    "
  `);
});

test("all values with their origins", async () => {
  const lines = (await explain("--profile", "smoke")).split("\n");
  expect(lines.length).toBeGreaterThan(60);
  const row = (key: string) =>
    lines.find((line) => line.startsWith(`${key} `))?.replace(/ +/g, " ");
  expect(row("pretrain.max_steps")).toBe("pretrain.max_steps 2 r.yaml:10:33 (profile smoke)");
  expect(row("pretrain.learning_rate")).toBe(
    "pretrain.learning_rate 0.0002 r.yaml:3:12 (${lr} at r.yaml:5:18)",
  );
  expect(row("seed")).toBe("seed 42 the default");
});

test("as JSON", async () => {
  expect(JSON.parse(await explain("pretrain.max_steps", "--json"))).toEqual({
    keyPath: "pretrain.max_steps",
    isPresent: true,
    value: 50,
    doc: "Optimizer steps; -1 leaves it to num_train_epochs.",
    writings: [
      { value: 50, position: "r.yaml:6:14" },
      { value: 100, position: "base.yaml:7:14" },
    ],
    reaches: [{ stage: "pretrain", params: ["train.max_steps"] }],
  });
});

describe("variables", () => {
  const recipe = (name: string) => join(directory, name);
  beforeAll(() => {
    writeFileSync(
      recipe("vars-base.yaml"),
      `model: {config: {num_hidden_layers: 2}}
tokenizer: {train: {vocab_size: 512, dataset_args: text.jsonl}}
vars: {lr: 1e-4, file: other, half: 5e-5}
pretrain: {dataset_args: text.jsonl, learning_rate: 3e-4, max_steps: 4}
`,
    );
    writeFileSync(
      recipe("r.yaml"),
      `name: r
extends: vars-base.yaml
vars: {lr: "\${half}", file: text}
pretrain: {learning_rate: "\${lr}", dataset_args: "\${file}.jsonl"}
profiles:
  fast: {vars: {lr: 2e-3, half: 1e-3}}
`,
    );
  });

  test("a value of a variable that a parent and a profile define", async () => {
    expect(await explain("pretrain.learning_rate", "--profile", "fast", "vars.lr=7e-4"))
      .toMatchInlineSnapshot(`
        "pretrain.learning_rate: 0.0007
          Peak learning rate.
          set by     --set vars.lr=7e-4 (\${lr} at r.yaml:4:27)
          overrides  0.002 of r.yaml:6:21 (variable lr, profile fast)
          overrides  \${half} of r.yaml:3:12 (variable lr)
          overrides  0.0001 of vars-base.yaml:3:12 (variable lr)
          overrides  0.0003 of vars-base.yaml:4:53
          reaches    pretrain: train.learning_rate
        "
      `);
  });

  test("a variable whose value is another one's", async () => {
    expect(await explain("pretrain.learning_rate", "vars.half=7e-4")).toMatchInlineSnapshot(`
      "pretrain.learning_rate: 0.0007
        Peak learning rate.
        set by     --set vars.half=7e-4 (\${lr} at r.yaml:4:27)
        overrides  0.0001 of vars-base.yaml:3:12 (variable lr)
        overrides  0.00005 of vars-base.yaml:3:37 (variable half)
        overrides  0.0003 of vars-base.yaml:4:53
        reaches    pretrain: train.learning_rate
      "
    `);
  });

  test("a variable within a text", async () => {
    expect(await explain("pretrain.dataset_args")).toMatchInlineSnapshot(`
      "pretrain.dataset_args: text.jsonl
        Text to pretrain on: one or more of \`name[key:value,…]\` joined with \`+\` or \`|\`, or a list of datasets; a name is a file or directory relative to the recipe, \`npm:<package>/<path>\`, or a Hugging Face dataset.
        set by     r.yaml:4:50 (\${file}.jsonl at r.yaml:4:50)
        overrides  other of vars-base.yaml:3:24 (variable file)
        overrides  text.jsonl of vars-base.yaml:4:26
        reaches    prepare-pretrain: sources
      "
    `);
  });

  test("a variable itself: who set it, what uses it, and where that goes", async () => {
    expect(await explain("vars.half", "--profile", "fast")).toMatchInlineSnapshot(`
      "vars.half: 0.001
        set by     r.yaml:6:33 (profile fast)
        overrides  0.00005 of vars-base.yaml:3:37
        used by    nothing
      "
    `);
    expect(await explain("vars.half", "vars.half=1e-3")).toMatchInlineSnapshot(`
      "vars.half: 0.001
        set by     --set vars.half=1e-3
        overrides  0.00005 of vars-base.yaml:3:37
        used by    pretrain.learning_rate
        reaches    pretrain: train.learning_rate
      "
    `);
  });

  test("a key of a profile", async () => {
    expect(await explain("profiles.fast.vars.lr")).toMatchInlineSnapshot(`
      "profiles.fast.vars.lr: 0.002
        set by     r.yaml:6:21
        reaches    no parameter of a stage: it says how the recipe is run, composed or named
      "
    `);
  });
});
