import { expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import { refuseBlocked } from "../../src/plan/blocked.js";
import { planRun, type ExistingStage, type Plan, type PlanInputs } from "../../src/plan/plan.js";
import type { TrainParams } from "../../src/plan/params.js";
import { fakePins, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";

function plan(inputs: Partial<PlanInputs> & { set?: readonly string[]; text?: string } = {}): Plan {
  const { set = [], text = SMALL_RECIPE, ...rest } = inputs;
  return planRun({
    loaded: smallRecipe(text, set),
    ...fakePins(),
    cores: 4,
    existing: () => undefined,
    previous: undefined,
    ...rest,
  });
}

/** A store in which everything of a plan is finished. */
function storeOf(...plans: Plan[]): PlanInputs["existing"] {
  const finished = new Set(plans.flatMap(({ stages }) => stages.map((s) => s.fingerprint)));
  return (fingerprint) => (finished.has(fingerprint) ? { state: "finished" } : undefined);
}

const actions = ({ stages }: Plan) =>
  Object.fromEntries(stages.map(({ id, action, reason }) => [id, `${action}: ${reason}`]));

test("a recipe's stages, their kinds and inputs", () => {
  expect(plan().stages.map(({ id, kind, inputs }) => ({ id, kind, inputs }))).toEqual([
    { id: "prepare-tokenizer", kind: "prepare", inputs: {} },
    { id: "prepare-pretrain", kind: "prepare", inputs: { tokenizer: "prepare-tokenizer" } },
    { id: "prepare-sft", kind: "prepare", inputs: { tokenizer: "prepare-tokenizer" } },
    {
      id: "pretrain",
      kind: "pretrain",
      inputs: { data: "prepare-pretrain", tokenizer: "prepare-tokenizer" },
    },
    {
      id: "sft",
      kind: "sft",
      inputs: { data: "prepare-sft", tokenizer: "prepare-tokenizer", model: "pretrain" },
    },
    { id: "eval-pretrain", kind: "eval", inputs: { model: "pretrain", data: "prepare-sft" } },
    { id: "eval", kind: "eval", inputs: { model: "sft", data: "prepare-sft" } },
    {
      id: "export",
      kind: "export",
      inputs: { model: "sft", "eval-pretrain": "eval-pretrain", eval: "eval" },
    },
  ]);
});

test("parameters hold what decides the output, and locations where it is", () => {
  const { stages } = plan({ set: ["hardware.threads=3"] });
  const byId = Object.fromEntries(stages.map((stage) => [stage.id, stage]));
  const pretrain = byId["pretrain"]!;
  const params = pretrain.params as unknown as TrainParams;
  expect(params.train).toMatchObject({ learning_rate: 3e-4, max_steps: 100 });
  expect(Object.keys(params.train)).toHaveLength(21);
  expect(params.model).toMatchObject({ source: "scratch", config: { hidden_size: 64 } });
  expect((byId["sft"]!.params as unknown as TrainParams).model).toEqual({ source: "input" });
  expect(pretrain.estimate).toEqual({ units: 100, unit: "step" });
  expect(byId["sft"]!.estimate).toBeUndefined();
  expect(pretrain.hardware).toEqual({
    engine: "onnx",
    launcher: "local",
    device: "cpu",
    threads: 3,
    microBatchRows: 16,
  });
  expect(byId["prepare-pretrain"]!.locations).toEqual({ text: "/data/text" });
  expect(byId["prepare-tokenizer"]!.locations).toEqual({ text: "/data/text", chat: "/data/chat" });
  expect(plan().stages[3]!.hardware.threads).toBe(4);
  expect(JSON.stringify(stages.map((stage) => stage.params))).not.toContain("/data/");
});

test("the config of a model from scratch is complete, whatever the recipe leaves out", () => {
  const modelOf = (model: string) => {
    const text = SMALL_RECIPE.replace(/^model:[^]*(?=^tokenizer)/m, `model: ${model}\n`);
    const { params } = plan({ text }).stages.find(({ id }) => id === "pretrain")!;
    return (params as unknown as TrainParams).model;
  };
  const bert = {
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    initializer_range: 0.02,
    max_position_embeddings: 512,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
  };
  expect(modelOf("{family: bert, config: {}}")).toEqual({
    source: "scratch",
    family: "bert",
    config: bert,
  });
  expect(modelOf("{preset: bert-base-cased, config: {num_hidden_layers: 3}}")).toEqual({
    source: "scratch",
    family: "bert",
    config: { ...bert, vocab_size: 28996, num_hidden_layers: 3 },
  });
});

test("hardware and locations do not change a fingerprint, the seed changes them", () => {
  const fingerprints = (p: Plan) => p.stages.map(({ fingerprint }) => fingerprint);
  const elsewhere = { ...fakePins(), locations: { text: "/x/text", chat: "/y/chat" } };
  expect(fingerprints(plan({ set: ["hardware.threads=1"], ...elsewhere, cores: 9 }))).toEqual(
    fingerprints(plan()),
  );
  const reseeded = fingerprints(plan({ set: ["seed=1"] }));
  expect(reseeded[0]).toBe(fingerprints(plan())[0]);
  expect(reseeded.slice(1).some((f) => fingerprints(plan()).includes(f))).toBe(false);
});

test("a first run runs everything, a second nothing", () => {
  const first = plan();
  expect(new Set(Object.values(actions(first)))).toEqual(new Set(["run: no artifact yet"]));
  const second = plan({ existing: storeOf(first), previous: first });
  expect(new Set(Object.values(actions(second)))).toEqual(new Set(["reuse: finished, verified"]));
});

test("changing sft.learning_rate reruns sft, eval and export only", () => {
  const first = plan();
  const text = SMALL_RECIPE.replace("learning_rate: 0.0003", "learning_rate: 0.001");
  const second = plan({ text, existing: storeOf(first), previous: first });
  expect(actions(second)).toEqual({
    "prepare-tokenizer": "reuse: finished, verified",
    "prepare-pretrain": "reuse: finished, verified",
    "prepare-sft": "reuse: finished, verified",
    pretrain: "reuse: finished, verified",
    sft: "run: learning_rate changed 0.0003 -> 0.001 (recipes/small.yaml:17:18)",
    "eval-pretrain": "reuse: finished, verified",
    eval: "run: input sft changes",
    export: "run: inputs sft, eval change",
  });
  // Switching back recomputes nothing.
  const third = plan({ existing: storeOf(first, second), previous: second });
  expect(new Set(Object.values(actions(third)))).toEqual(new Set(["reuse: finished, verified"]));
});

test("reasons name overrides, defaults, several changes, datasets and code", () => {
  const first = plan();
  const reason = (id: string, inputs: Parameters<typeof plan>[0]) =>
    plan({ existing: storeOf(first), previous: first, ...inputs }).stages.find(
      (stage) => stage.id === id,
    )!.reason;

  expect(reason("sft", { set: ["sft.learning_rate=1e-3"] })).toBe(
    "learning_rate changed 0.0003 -> 0.001 (--set sft.learning_rate=1e-3)",
  );
  expect(reason("sft", { text: SMALL_RECIPE.replace("  learning_rate: 0.0003\n", "") })).toBe(
    "learning_rate changed 0.0003 -> 0.0001 (recipes/small.yaml:14:1, now the default)",
  );
  expect(reason("sft", { set: ["sft.max_steps=5", "sft.weight_decay=0.1"] })).toBe(
    "max_steps changed -1 -> 5 (--set sft.max_steps=5) and 1 more",
  );
  expect(reason("pretrain", { set: ["mask={schedule: cosine}"] })).toBe(
    "schedule changed linear -> cosine (--set mask={schedule: cosine})",
  );
  expect(reason("pretrain", { set: ["model.config.hidden_size=32"] })).toBe(
    "hidden_size changed 64 -> 32 (--set model.config.hidden_size=32)",
  );
  expect(
    reason("pretrain", {
      text: SMALL_RECIPE.replace("model:\n", "model:\n  preset: modernbert-large\n"),
    }),
  ).toBe("num_hidden_layers changed 22 -> 28 (recipes/small.yaml:3:11, of the preset) and 2 more");
  expect(reason("eval", { set: ["eval.sampler.steps=16"] })).toBe(
    "steps changed 32 -> 16 (--set eval.sampler.steps=16)",
  );
  expect(reason("prepare-sft", { set: ["sft.max_length=64"] })).toBe(
    "max_length changed 128 -> 64 (--set sft.max_length=64)",
  );
  expect(reason("export", { set: ["export.formats=[onnx]"] })).toBe(
    'formats changed ["safetensors","onnx"] -> ["onnx"] (--set export.formats=[onnx]) and 1 more',
  );
  expect(reason("prepare-pretrain", fakePins({ text: "other" }))).toBe(
    "dataset text changed: text.txt (recipes/small.yaml:10:17)",
  );
  expect(reason("prepare-tokenizer", fakePins({ text: "other" }))).toBe(
    "dataset text changed: text.txt (recipes/small.yaml:8:42)",
  );
});

test("changed code is a reason", () => {
  const current = plan();
  const older: Plan = {
    ...current,
    codeVersions: { ...current.codeVersions, eval: 0 },
    stages: current.stages.map((stage) => ({
      ...stage,
      fingerprint: `older ${stage.fingerprint}`,
    })),
  };
  expect(actions(plan({ previous: older }))["eval"]).toBe("run: code of eval changed 0 -> 2");
});

test("a checkpoint is resumed", () => {
  const { stages } = plan();
  const sft = stages.find(({ id }) => id === "sft")!.fingerprint;
  const existing = (fingerprint: string): ExistingStage | undefined =>
    fingerprint === sft ? { state: "checkpoint", step: 120 } : undefined;
  expect(actions(plan({ existing }))["sft"]).toBe("resume: checkpoint at step 120");
});

test("a damaged artifact is computed again, and the plan says that it was damaged", () => {
  const { stages } = plan();
  const sft = stages.find(({ id }) => id === "sft")!.fingerprint;
  const existing = (fingerprint: string): ExistingStage | undefined =>
    fingerprint === sft ? { state: "damaged" } : undefined;
  expect(actions(plan({ existing }))["sft"]).toBe("run: the artifact is damaged");
});

test("changing when to save reruns nothing but the model card", () => {
  const first = plan();
  const second = plan({ set: ["sft.save_steps=5"], existing: storeOf(first), previous: first });
  expect(second.stages.filter(({ action }) => action === "run").map(({ id }) => id)).toEqual([
    "export",
  ]);
  expect(actions(second)["export"]).toBe(
    "run: save_steps changed 0.1 -> 5 (--set sft.save_steps=5)",
  );
});

test("an existing model is prepared and brings its tokenizer", () => {
  const { pins, locations } = fakePins();
  const files = [{ path: "tokenizer.json", bytes: 1, sha256: "ab" }];
  const existing = plan({
    text: "name: x\nmodel: {name_or_path: m}\nsft: {dataset_args: chat}\nexport: {}\n",
    pins: { ...pins, model: { name: "m", files }, tokenizer: { name: "m", files } },
    locations: { ...locations, m: "/models/m" },
  });
  expect(existing.stages.map(({ id, inputs, locations: at }) => ({ id, inputs, at }))).toEqual([
    { id: "prepare-model", inputs: {}, at: { m: "/models/m" } },
    { id: "prepare-tokenizer", inputs: {}, at: { m: "/models/m" } },
    { id: "prepare-sft", inputs: { tokenizer: "prepare-tokenizer" }, at: { chat: "/data/chat" } },
    {
      id: "sft",
      inputs: { data: "prepare-sft", tokenizer: "prepare-tokenizer", model: "prepare-model" },
      at: {},
    },
    { id: "export", inputs: { model: "sft" }, at: {} },
  ]);
});

test("what this version cannot run is planned, and refused before a run", () => {
  const planned = plan({
    text: `${SMALL_RECIPE}hardware:\n  strategy: zero2\n  gpus_per_node: 2\n`,
  });
  const blocked = planned.stages.filter((stage) => stage.blocked !== undefined);
  expect(blocked.map(({ id, hardware }) => [id, hardware.engine])).toEqual([
    ["pretrain", "accelerate"],
    ["sft", "accelerate"],
  ]);
  expect(() => refuseBlocked(planned)).toThrow(DllmError);
  try {
    refuseBlocked(planned);
  } catch (error) {
    const refused = error as DllmError;
    expect(refused.exitCode).toBe(78);
    expect(refused.format()).toBe(`2 of 8 stages cannot run here, and nothing was started
  pretrain: this version does not start accelerate itself: run the command, or write hardware.engine: onnx
  sft: this version does not start accelerate itself: run the command, or write hardware.engine: onnx
  dllm plan shows their commands; --profile smoke runs a tiny version of shipped recipes`);
  }
});

test("hardware that contradicts itself is reported where it is written", () => {
  try {
    plan({ text: `${SMALL_RECIPE}hardware:\n  gpus_per_node: 2\n` });
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    expect(error.exitCode).toBe(65);
    expect(error.format())
      .toBe(`recipes/small.yaml:24:18: gpus_per_node is 2, but strategy is "single": one device
  24 |   gpus_per_node: 2
     |                  ^
  write strategy: ddp (or zero1, zero2, zero3, fsdp), or leave gpus_per_node out`);
  }
});

test("the devices never change what is computed", () => {
  const trainings = (hardware: string) =>
    plan({ text: `${SMALL_RECIPE}hardware: ${hardware}\n` }).stages.filter(({ kind }) =>
      ["pretrain", "sft"].includes(kind),
    );
  const eight = trainings("{strategy: ddp, gpus_per_node: 8}");
  const one = trainings("{strategy: ddp, gpus_per_node: 8, engine: onnx}");
  expect(one.map((stage) => stage.fingerprint)).toEqual(eight.map((stage) => stage.fingerprint));
  const { train } = one[1]!.params as unknown as TrainParams;
  expect(train.batch_size).toBe(16 * 8);
  // The unit of length grouping is that of one device, as in the reference.
  expect(train.group_rows).toBe(16);
  expect(one[1]!.hardware.microBatchRows).toBe(16);
});

test("trainings on the same data prepare it once, and models are shared by name and step", () => {
  const { stages } = plan({
    text:
      SMALL_RECIPE.replace("pretrain:\n", "pretrain:\n  keep_steps: [50]\n") +
      `stages:
  early: {kind: sft, from: pretrain@50, dataset_args: chat, max_length: 128, learning_rate: 0.0003}
  late: {kind: sft, from: pretrain, dataset_args: chat, max_length: 128}
  both: {kind: eval, from: [early, late]}
`,
  });
  const inputs = Object.fromEntries(stages.map((stage) => [stage.id, stage.inputs]));
  expect(inputs["early"]).toEqual({
    data: "prepare-sft",
    tokenizer: "prepare-tokenizer",
    model: "pretrain",
  });
  expect(inputs["both-late"]).toEqual({ model: "late", data: "prepare-sft" });
  const early = stages.find(({ id }) => id === "early")!;
  expect(early.params["model"]).toEqual({ source: "input", step: 50 });
});

test("each trial has the fingerprints of the recipe with its values written in", () => {
  const text = `${SMALL_RECIPE}stages:
  again: {kind: sft, from: pretrain, dataset_args: chat, max_length: 128}
sweep:
  method: random
  run_cap: 40
  parameters:
    sft.learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 1e-2}
    sft.max_length: {values: [64, 128]}
    mask.time_epsilon: {values: [1e-3, 1e-2]}
    mask.schedule: {values: [linear, cosine]}
    pretrain.save_steps: {values: [10, 20]}
    stages.again.num_train_epochs: {min: 1, max: 3}
    seed: {values: [1, 2]}
`;
  const planned = plan({ text });
  const fingerprints = new Map(planned.stages.map((stage) => [stage.id, stage.fingerprint]));
  const trials = planned.sweep!.trials;
  expect(trials).toHaveLength(40);
  for (const { parameters, stages } of trials) {
    const written = Object.entries(parameters).map(([key, value]) => `${key}=${String(value)}`);
    const alone = plan({ text, set: [...written, "sweep=null"] });
    expect(Object.fromEntries(alone.stages.map((stage) => [stage.id, stage.fingerprint]))).toEqual(
      Object.fromEntries(
        Object.entries(stages).map(([id, planId]) => [id, fingerprints.get(planId)]),
      ),
    );
  }
});

test("trials share what is the same; a stage of some trials is named by its content", () => {
  const sweep = (values: string) => `sweep:
  method: grid
  parameters:
    sft.learning_rate: {values: [1e-3, 1e-4]}
    mask.time_epsilon: {values: ${values}}
`;
  const planned = plan({ text: SMALL_RECIPE + sweep("[1e-3]") });
  expect(planned.sweep!.trials).toHaveLength(2);
  expect(planned.stages).toHaveLength(8 + 3);
  const shared = planned.stages.map(({ id }) => id).filter((id) => !id.includes("."));
  expect(shared).toEqual([
    "prepare-tokenizer",
    "prepare-pretrain",
    "prepare-sft",
    "pretrain",
    "eval-pretrain",
  ]);
  const [trial] = planned.sweep!.trials;
  const own = planned.stages.find(({ id }) => id === trial!.stages["sft"])!;
  expect(own.id).toBe(`sft.${own.fingerprint.slice(0, 12)}`);
  expect(own.needs).toEqual(["prepare-sft", "prepare-tokenizer", "pretrain"]);
  // A stage of a trial is that of the recipe with the trial's values.
  const alone = plan({
    set: [`sft.learning_rate=${String(trial!.parameters["sft.learning_rate"])}`],
  });
  expect(alone.stages.find(({ id }) => id === "sft")!.fingerprint).toBe(own.fingerprint);
  // More trials keep the identities of those there were.
  const more = plan({ text: SMALL_RECIPE + sweep("[1e-3, 1e-2]") });
  const ids = more.sweep!.trials.map(({ id }) => id);
  expect(planned.sweep!.trials.every(({ id }) => ids.includes(id))).toBe(true);
});
