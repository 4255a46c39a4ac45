import { expect, test } from "vitest";
import { describePlan } from "../../src/plan/describe.js";
import { planRun } from "../../src/plan/plan.js";
import type { Fields, Shape } from "../../src/recipe/fields.js";
import { recipeFields } from "../../src/recipe/schema.js";
import { fakePins, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";

interface Leaf {
  path: string;
  shape: Shape;
}

/** Every key of the schema; those under `stages` are those of the sections. */
function leaves(fields: Fields, prefix = ""): Leaf[] {
  return Object.entries(fields).flatMap(([key, { shape }]) => {
    const path = `${prefix}${key}`;
    return shape.type === "map" ? leaves(shape.fields, `${path}.`) : [{ path, shape }];
  });
}

/** Keys whose value reaches a stage through the pins of what it names, not by itself. */
const pinned = /(dataset_args|dataset_separators|name_or_path|model\.revision)$/;

/** Valid values that differ from the small recipe's. */
const particular: Readonly<Record<string, string>> = {
  name: "other",
  "model.config.num_attention_heads": "8",
  "model.config.hidden_size": "128",
  "model.config.max_position_embeddings": "256",
  "model.config.vocab_size": "600",
  "model.config.layer_norm_eps": "1e-6",
  "model.config.type_vocab_size": "3",
  "model.preset": "bert-large-uncased",
  "tokenizer.train.added_tokens": "['[Question]']",
  "pretrain.max_length": "32",
  "pretrain.keep_steps": "[50]",
  "sft.keep_steps": "[50]",
  "sft.max_length": "64",
  "eval.from": "[sft]",
  "eval.tasks": "[exact_match]",
  "export.from": "pretrain",
  "export.formats": "[onnx]",
  "hardware.strategy": "zero2",
  "hardware.nodes": "2",
  "hardware.slurm.time": "90",
  "reproduces.dllm_commit": "ca176752",
  expects: "[{stage: eval, task: exact_match, value: 1}]",
  stages: "{again: {kind: sft, from: pretrain, dataset_args: chat, max_length: 64}}",
  "sweep.parameters": "{sft.learning_rate: {values: [1, 2, 3]}}",
  "sweep.metric.name": "loss",
  "sweep.early_terminate.max_iter": "40",
};

function otherValue({ path, shape }: Leaf, current: unknown): string {
  const chosen = particular[path];
  // One is a multiple of the other.
  if (/^eval\.benchmarks\..*\.mc_num$/.test(path)) return "64";
  if (/^eval\.benchmarks\..*\.batch_size$/.test(path)) return "16";
  if (chosen !== undefined) return chosen;
  switch (shape.type) {
    case "boolean":
      return String(current !== true);
    case "choice":
      return shape.values.find((value) => value !== current)!;
    case "string":
      return "other";
    case "number":
      return String(Number(current ?? 1) / 2 || 0.5);
    case "integer":
      return String(Math.max(2, Number(current ?? 1) + 1));
    default:
      throw new Error(`give ${path} a value in this test`);
  }
}

/** What a plan makes stages do, where and how; the recipe in the model card reaches nothing. */
function effect(set: readonly string[]): string {
  const loaded = smallRecipe(SMALL_RECIPE, set);
  const plan = planRun({
    loaded,
    ...fakePins(),
    cores: 64,
    existing: () => undefined,
    previous: undefined,
  });
  const described = describePlan({
    loaded,
    stages: plan.stages,
    outputDirectory: (stage) => `runs/${stage}`,
    // As if the model were of the hub, whose commands are those that can be written.
    machineMemoryBytes: 2 ** 50,
  });
  const stages = plan.stages.map(({ id, kind, params, inputs, hardware, blocked }) => {
    const own = Object.entries(params).filter(([key]) => key !== "recipe");
    return { id, kind, own, inputs, hardware, blocked };
  });
  const { name, sweep, reproduces, expects } = plan;
  return JSON.stringify([name, sweep, reproduces, expects, stages, described]);
}

function valueAt(path: string, set: readonly string[]): unknown {
  let value: unknown = smallRecipe(SMALL_RECIPE, set).recipe;
  for (const key of path.split(".")) value = (value as Record<string, unknown> | undefined)?.[key];
  return value;
}

/** How a recipe is put together, not what it says: test/recipe/compose.test.ts. */
const COMPOSITION = ["extends", "vars", "profiles"];

const tested = leaves(recipeFields).filter(({ path, shape }) => {
  // The model card alone quotes a description.
  if (path === "description" || pinned.test(path) || COMPOSITION.includes(path)) return false;
  // One word only (device): there is nothing to change yet.
  return !(shape.type === "choice" && shape.values.length === 1);
});

test("nearly all keys are tested", () => {
  expect(tested.length).toBeGreaterThan(160);
});

const sweep = (method: string) =>
  `sweep={method: ${method}, run_cap: 3, metric: {name: eval_loss}, parameters: {sft.learning_rate: {min: 0.5, max: 2}}, early_terminate: {type: hyperband, min_iter: 2}}`;

/** What the small recipe must say for a key to have a meaning. */
const contexts: readonly (readonly [paths: RegExp, set: readonly string[]])[] = [
  // It counts pretraining in steps.
  [/^pretrain\.num_train_epochs$/, ["pretrain.max_steps=-1"]],
  [
    /^model\.config\.(layer_norm_eps|type_vocab_size|hidden_dropout_prob|attention_probs_dropout_prob)$/,
    ["model.family=bert"],
  ],
  [
    /^hardware\.(nodes|gpus_per_node|strategy)$/,
    ["hardware.strategy=ddp", "hardware.gpus_per_node=2"],
  ],
  [/^hardware\.precision$/, ["hardware.precision=float32"]],
  [/^hardware\.launcher$/, ["hardware.strategy=ddp", "hardware.gpus_per_node=2"]],
  [/^hardware\.slurm/, ["hardware.strategy=ddp", "hardware.gpus_per_node=2", "hardware.slurm={}"]],
  [/^reproduces\./, ["reproduces={report: a}"]],
  [
    /^sweep\.(early_terminate\.s|early_terminate\.max_iter)$/,
    [sweep("random").replace("min_iter: 2", "max_iter: 27, s: 1")],
  ],
  [/^sweep\.method$/, [sweep("random").replace("{min: 0.5, max: 2}", "{values: [1, 2, 3, 4, 5]}")]],
  [/^sweep\./, [sweep("random")]],
];

/** The command names them; the small recipe's tokenizer and data are none of the reference's. */
const OF_COMMANDS = /^hardware\.slurm\./;

test.each(
  tested.filter(({ path }) => !OF_COMMANDS.test(path)).map((leaf) => [leaf.path, leaf] as const),
)("%s reaches a stage", (path, leaf) => {
  const [benchmark] = /^eval\.benchmarks\.[^.]+/.exec(path) ?? [];
  const base =
    benchmark === undefined
      ? (contexts.find(([paths]) => paths.test(path))?.[1] ?? [])
      : [`${benchmark}={}`];
  const set = `${path}=${otherValue(leaf, valueAt(path, base))}`;
  expect(effect([...base, set]), set).not.toBe(effect(base));
});
