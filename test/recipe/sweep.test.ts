/** @file The `sweep` section: what is wrong with one is said where it is written. */
import { describe, expect, test } from "vitest";
import { RecipeError } from "../../src/recipe/issues.js";
import {
  loadFiles,
  problemsIn,
  problemsOf,
  smallRecipe,
  SMALL_RECIPE,
} from "../support/recipes.js";

const withSweep = (sweep: string) => `${SMALL_RECIPE}sweep:\n${sweep}`;
const grid = (parameters: string) => withSweep(`  method: grid\n  parameters: ${parameters}\n`);
const random = (parameters: string, rest = "") =>
  withSweep(`  method: random\n  run_cap: 4\n${rest}  parameters: ${parameters}\n`);

/** The formatted error that an action throws. */
function formatted(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof RecipeError) return error.format();
    throw error;
  }
  return "";
}

test("W&B's nested parameters are recipe keys", () => {
  const { recipe, position } = smallRecipe(
    grid(`
    sft:
      parameters:
        learning_rate: {values: [1e-4, 1e-3]}
        weight_decay: {value: 0.1}
    model: {parameters: {config: {parameters: {num_hidden_layers: {values: [2]}}}}}
    mask.schedule: {values: [linear, cosine]}`),
  );
  expect(Object.keys(recipe.sweep!.parameters)).toEqual([
    "sft.learning_rate",
    "sft.weight_decay",
    "model.config.num_hidden_layers",
    "mask.schedule",
  ]);
  expect(position("sweep.parameters.sft.learning_rate.values.1")).toBe("recipes/small.yaml:28:40");
});

test("overrides reach a parameter, whichever way it is written", () => {
  for (const parameters of [
    "{sft.learning_rate: {values: [1, 2]}}",
    "{sft: {parameters: {learning_rate: {values: [1, 2]}}}}",
  ]) {
    const set = parameters.startsWith("{sft.")
      ? "sweep.parameters.sft.learning_rate.values=[3]"
      : "sweep.parameters.sft.parameters.learning_rate.values=[3]";
    const { sweep } = smallRecipe(grid(parameters), [set]).recipe;
    expect(sweep?.parameters["sft.learning_rate"]?.values).toEqual([3]);
  }
});

test("a nested parameter in two ways, and with values of its own", () => {
  expect(
    problemsOf(
      grid(`
    sft.learning_rate: {values: [1]}
    sft: {distribution: uniform, parameters: {learning_rate: {values: [2]}}}`),
    ),
  ).toMatchInlineSnapshot(`
    "r.yaml:27:11: distribution is written beside the parameters within sft
      27 |     sft: {distribution: uniform, parameters: {learning_rate: {values: [2]}}}
         |           ^^^^^^^^^^^^
      remove one of the two
    r.yaml:27:47: the sweep varies sft.learning_rate twice
      27 |     sft: {distribution: uniform, parameters: {learning_rate: {values: [2]}}}
         |                                               ^^^^^^^^^^^^^
      it was first written at r.yaml:26:5
    2 problems in r.yaml"
  `);
});

test("a pasted W&B sweep is explained", () => {
  expect(
    problemsOf(
      withSweep(`  program: train.py
  command: [python, "\${program}"]
  project: p
  method: bayes
  parameters:
    learning_rate: {min: 0.1, max: 0.2}
`).replace('"${program}"', "x"),
    ),
  ).toMatchInlineSnapshot(`
    "r.yaml:24:3: key "program" in sweep is for W&B's agent
      24 |   program: train.py
         |   ^^^^^^^
      remove it: \`dllm run\` starts the trials of a sweep itself
    r.yaml:25:3: key "command" in sweep is for W&B's agent
      25 |   command: [python, x]
         |   ^^^^^^^
      remove it: \`dllm run\` starts the trials of a sweep itself
    r.yaml:26:3: key "project" in sweep is for W&B's agent
      26 |   project: p
         |   ^^^^^^^
      remove it: \`dllm run\` starts the trials of a sweep itself
    r.yaml:27:11: method is "bayes", expected "grid" or "random"
      27 |   method: bayes
         |           ^^^^^
    r.yaml:29:5: unknown key "learning_rate"
      29 |     learning_rate: {min: 0.1, max: 0.2}
         |     ^^^^^^^^^^^^^
      expected one of: dataset_separators, description, edition, eval, expects, export, extends,
        hardware, mask, model, name, pretrain, profiles, reproduces, seed, sft, stages, sweep,
        tokenizer, vars
      it is a key of pretrain, sft
    5 problems in r.yaml"
  `);
});

test("values that their key does not accept, and keys that are none", () => {
  expect(
    problemsOf(
      grid(`
    sft.learning_rate: {values: [1e-4, fast, 0]}
    sft.max_step: {values: [1]}
    mask.schedule: {value: linar}
    eval.from: {values: [[sft], [sftt]]}
    name: {values: [a]}`),
    ),
  ).toMatchInlineSnapshot(`
    "r.yaml:26:40: learning_rate is "fast", expected a number above 0
      26 |     sft.learning_rate: {values: [1e-4, fast, 0]}
         |                                        ^^^^
    r.yaml:26:46: learning_rate is 0, expected a number above 0
      26 |     sft.learning_rate: {values: [1e-4, fast, 0]}
         |                                              ^
    r.yaml:27:5: unknown key "max_step" in sft
      27 |     sft.max_step: {values: [1]}
         |     ^^^^^^^^^^^^
      expected one of: adam_beta1, adam_beta2, adam_epsilon, dataset_args, eval_steps, eval_strategy,
        global_batch_size, gradient_accumulation_steps, group_by_length, keep_steps, learning_rate,
        logging_steps, lr_scheduler_type, mask_prompt_loss, max_bad_row_ratio, max_grad_norm,
        max_length, max_steps, num_train_epochs, on_bad_row, per_device_eval_batch_size,
        per_device_train_batch_size, save_steps, save_total_limit, stopping_strategy, test_fraction,
        truncation, warmup_ratio, warmup_steps, weight_decay
      did you mean "max_steps"?
    r.yaml:28:28: schedule is "linar", expected "linear" or "cosine"
      28 |     mask.schedule: {value: linar}
         |                            ^^^^^
      did you mean "linear"?
    r.yaml:30:5: a sweep cannot vary name: it is the same in all trials
      30 |     name: {values: [a]}
         |     ^^^^
    5 problems in r.yaml"
  `);
});

test("what a distribution needs", () => {
  expect(
    problemsOf(
      random(`
    sft.learning_rate: {distribution: log_uniform_values, min: 0, max: 1}
    sft.weight_decay: {distribution: uniform, min: 0.1}
    sft.max_grad_norm: {min: 2, max: 1}
    sft.max_steps: {distribution: int_uniform, min: 1.5, max: 2}
    sft.warmup_ratio: {mu: 0.1, distribution: categorical}
    sft.adam_beta1: {distribution: constant}
    sft.adam_beta2: {}
    sft.seed: {values: [1, 2], probabilities: [0.5, 0.4]}
`).replace("sft.seed", "seed"),
    ),
  ).toMatchInlineSnapshot(`
    "r.yaml:27:64: learning_rate is 0, expected a number above 0
      27 |     sft.learning_rate: {distribution: log_uniform_values, min: 0, max: 1}
         |                                                                ^
    r.yaml:28:38: uniform of sft.weight_decay has no "max:"
      28 |     sft.weight_decay: {distribution: uniform, min: 0.1}
         |                                      ^^^^^^^
    r.yaml:29:30: min is 2, expected at most max (1)
      29 |     sft.max_grad_norm: {min: 2, max: 1}
         |                              ^
    r.yaml:30:53: max_steps is 1.5, expected an integer at least -1
      30 |     sft.max_steps: {distribution: int_uniform, min: 1.5, max: 2}
         |                                                     ^^^
    r.yaml:31:47: parameter sft.warmup_ratio is categorical and has no "values:"
      31 |     sft.warmup_ratio: {mu: 0.1, distribution: categorical}
         |                                               ^^^^^^^^^^^
    r.yaml:32:36: parameter sft.adam_beta1 is constant and has no "value:"
      32 |     sft.adam_beta1: {distribution: constant}
         |                                    ^^^^^^^^
    r.yaml:33:5: parameter sft.adam_beta2 has no values
      33 |     sft.adam_beta2: {}
         |     ^^^^^^^^^^^^^^
      write "value:", "values:", or "min:" and "max:"
    r.yaml:34:43: probabilities are 2 numbers with sum 0.9, expected 2 with sum 1, one for each of "values:"
      34 |     seed: {values: [1, 2], probabilities: [0.5, 0.4]}
         |                                           ^^^^^^^^^^
    8 problems in r.yaml"
  `);
});

test("logarithms of values are no values", () => {
  expect(
    problemsOf(random("{sft.learning_rate: {distribution: log_uniform, min: -9, max: -7}}")),
  ).toBe("");
});

test("what methods and early_terminate need", () => {
  expect(
    problemsOf(
      withSweep(`  method: random
  early_terminate: {type: hyperband, s: 2}
  parameters: {sft.learning_rate: {values: [1]}}
`),
    ),
  ).toMatchInlineSnapshot(`
    "r.yaml:24:11: a random sweep never ends
      24 |   method: random
         |           ^^^^^^
      write "run_cap:", the number of trials
    r.yaml:25:3: early_terminate has nothing to compare
      25 |   early_terminate: {type: hyperband, s: 2}
         |   ^^^^^^^^^^^^^^^
      write "metric:" with a name
    r.yaml:25:3: early_terminate has no rungs
      25 |   early_terminate: {type: hyperband, s: 2}
         |   ^^^^^^^^^^^^^^^
      write "min_iter:", or "max_iter:" and "s:"
    3 problems in r.yaml"
  `);
  expect(
    problemsOf(grid("{sft.learning_rate: {min: 0.1, max: 0.2}, seed: {distribution: normal}}")),
  ).toMatchInlineSnapshot(`
    "r.yaml:25:16: a grid cannot list the values of sft.learning_rate, whose distribution is uniform
      25 |   parameters: {sft.learning_rate: {min: 0.1, max: 0.2}, seed: {distribution: normal}}
         |                ^^^^^^^^^^^^^^^^^
      write "values:", or take method: random
    r.yaml:25:78: a grid cannot list the values of seed, whose distribution is normal
      25 |   parameters: {sft.learning_rate: {min: 0.1, max: 0.2}, seed: {distribution: normal}}
         |                                                                              ^^^^^^
      write "values:", or take method: random
    2 problems in r.yaml"
  `);
  expect(problemsOf(random("{seed: {values: [1]}}").replace("run_cap: 4", "run_cap: 100_001")))
    .toMatchInlineSnapshot(`
    "r.yaml:25:12: run_cap is 100001, expected an integer at least 1 and at most 100000
      25 |   run_cap: 100_001
         |            ^^^^^^^"
  `);
});

test("a trial whose values do not go together is reported at them", () => {
  const loaded = smallRecipe(
    grid(
      "{sft.max_length: {values: [64, 256]}, model.config.max_position_embeddings: {values: [128, 512]}}",
    ),
  );
  const both = (length: number, positions: number) =>
    loaded.withValues({
      "sft.max_length": length,
      "model.config.max_position_embeddings": positions,
    });
  expect(both(256, 512).recipe.sft?.max_length).toBe(256);
  expect(formatted(() => both(256, 128))).toMatchInlineSnapshot(`
    "recipes/small.yaml:25:46: sft.max_length is 256, expected at most max_position_embeddings (128)
      25 |   parameters: {sft.max_length: {values: [64, 256]}, model.config.max_position_embeddings: {values: [
         |                                              ^^^
      lower max_length, or raise model.config.max_position_embeddings
      in the trial with sft.max_length: 256, model.config.max_position_embeddings: 128"
  `);
});

describe("trials after the first", () => {
  const numbers =
    "{sft.max_length: {values: [16, 32, 256]}, sft.learning_rate: {min: 0.001, max: 1}, seed: {values: [1]}}";
  const mixed = numbers.replace("}}", "}, mask.schedule: {values: [linear, cosine]}}");
  const values = (length: number, rate: number, rest: object = {}) => ({
    "sft.max_length": length,
    "sft.learning_rate": rate,
    seed: 1,
    ...rest,
  });
  /** The recipe with the values as overrides, and no sweep. */
  const overridden = (trial: object) =>
    smallRecipe(
      SMALL_RECIPE,
      Object.entries(trial).map(([key, value]) => `${key}=${JSON.stringify(value)}`),
    ).recipe;

  test.each([
    ["numbers", numbers, {}],
    ["numbers and a word", mixed, { "mask.schedule": "cosine" }],
  ])("are the recipe with their values: %s", (_, parameters, rest) => {
    const loaded = smallRecipe(random(parameters));
    for (const trial of [values(16, 0.1, rest), values(32, 0.25, rest), values(16, 1, rest)]) {
      const { recipe } = loaded.withValues(trial);
      expect(recipe).toEqual(overridden(trial));
      expect(Object.isFrozen(recipe.sft) && Object.isFrozen(recipe)).toBe(true);
    }
  });

  test("share what none of them varies, and say where their values are", () => {
    const loaded = smallRecipe(random(numbers));
    const first = loaded.withValues(values(16, 0.1));
    const second = loaded.withValues(values(32, 0.2));
    expect(second.recipe.sft).not.toBe(first.recipe.sft);
    expect(second.recipe.pretrain).toBe(first.recipe.pretrain);
    expect(second.recipe.seed).toBe(1);
    expect(second.position("sft.max_length")).toBe("recipes/small.yaml:26:46");
    expect(second.isWritten("sft.weight_decay")).toBe(false);
  });

  test("may leave out a section that the sweep's recipe has", () => {
    const values = "[null, {formats: [onnx]}, null]";
    const loaded = smallRecipe(grid(`{export: {values: ${values}}, seed: {values: [1]}}`));
    for (const trial of [null, { formats: ["onnx"] }, null]) {
      const { recipe } = loaded.withValues({ export: trial, seed: 1 });
      expect(recipe).toEqual(overridden({ export: trial, seed: 1 }));
      expect("export" in recipe).toBe(trial !== null);
    }
  });

  test("are checked as the first is", () => {
    const loaded = smallRecipe(random(numbers));
    loaded.withValues(values(16, 0.1));
    const problem = "sft.max_length is 256, expected at most max_position_embeddings (128)";
    expect(() => loaded.withValues(values(256, 0.1))).toThrow(problem);
    expect(() => loaded.withValues(values(16, -1))).toThrow("learning_rate is -1, expected");
    expect(() => loaded.withValues(values(16.5, 0.1))).toThrow("max_length is 16.5, expected");
  });
});

test("a variable may be swept, wherever it is used", async () => {
  const files = {
    "r.yaml": `name: x
vars: {n: 10, twice: "\${n}"}
model: {name_or_path: m}
sft: {dataset_args: t, max_steps: "\${n}", description: 1}
sweep: {method: grid, parameters: {vars.n: {values: [20, many]}}}
`.replace(", description: 1", ', warmup_steps: "${twice}"'),
  };
  const loaded = await loadFiles(files);
  expect(loaded.withValues({ "vars.n": 20 }).recipe.sft).toMatchObject({
    max_steps: 20,
    warmup_steps: 20,
  });
  expect(() => loaded.withValues({ "vars.n": "many" })).toThrow(
    'r.yaml:5:58: warmup_steps is "many", expected an integer at least 0',
  );
});

test("a profile replaces parameters, or removes them", async () => {
  const files = {
    "r.yaml": `name: x
model: {name_or_path: m}
sft: {dataset_args: t}
sweep:
  method: grid
  parameters: {seed: {values: [1, 2]}, sft: {parameters: {learning_rate: {values: [1]}}}}
profiles:
  one: {sweep: {parameters: {seed: null}}}
  none: {sweep: null}
  bad: {sweep: {parameters: {sft: {parameters: {learning_rate: {values: [0]}}}}}}
`,
  };
  const parameters = async (profile: string) =>
    Object.keys((await loadFiles(files, { profiles: [profile] })).recipe.sweep?.parameters ?? {});
  expect(await parameters("one")).toEqual(["sft.learning_rate"]);
  expect(await parameters("none")).toEqual([]);
  expect(await problemsIn(files, { profiles: ["bad"] })).toMatch(
    /^r\.yaml:10:74: learning_rate is 0, expected a number above 0\n/,
  );
});
