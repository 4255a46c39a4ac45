import { expect, test } from "vitest";
import { parseRecipe } from "../../src/recipe/load.js";
import { problemsOf, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";

test("defaults are the reference's", () => {
  const { recipe } = smallRecipe();
  expect(recipe.seed).toBe(42);
  expect(recipe.mask).toEqual({
    schedule: "linear",
    time_epsilon: 1e-3,
    loss_weight_type: "scheduler",
    loss_norm_type: "token",
  });
  expect(recipe.sft).toMatchObject({
    learning_rate: 3e-4,
    lr_scheduler_type: "cosine",
    warmup_ratio: 0.1,
    num_train_epochs: 20,
    max_steps: -1,
    per_device_train_batch_size: 16,
    gradient_accumulation_steps: 1,
    adam_beta2: 0.999,
    max_grad_norm: 1,
    mask_prompt_loss: true,
    truncation: "right",
    group_by_length: true,
    logging_steps: 10,
    eval_steps: 0.1,
    save_steps: 0.1,
  });
  expect(recipe.pretrain).toMatchObject({
    text_field: "text",
    insert_eos: true,
    drop_tail: true,
    group_by_length: false,
  });
  expect(recipe.model.config).toMatchObject({
    num_hidden_layers: 22,
    intermediate_size: 1152,
    global_rope_theta: 160_000,
    local_attention: 128,
  });
  expect(recipe.model.family).toBe("modernbert");
  expect(recipe.edition).toBe("head");
  expect(recipe.dataset_separators).toEqual(["|", "+"]);
  // Where they differ from the reference on purpose.
  expect(recipe.hardware.precision).toBe("float32");
  expect(recipe.sft?.save_total_limit).toBe(2);
  expect(recipe.export).toEqual({ formats: ["safetensors", "onnx"] });
  expect(recipe.model.name_or_path).toBeUndefined();
});

test("a recipe is frozen all the way down", () => {
  const { recipe } = smallRecipe();
  const thaw = (value: unknown): boolean =>
    typeof value === "object" &&
    value !== null &&
    (!Object.isFrozen(value) || Object.values(value).some(thaw));
  expect(thaw(recipe)).toBe(false);
  expect(() => {
    (recipe.mask as { schedule: string }).schedule = "cosine";
  }).toThrow(TypeError);
});

test("position is that of the value, of the closest section for a default, of the override", () => {
  const loaded = smallRecipe(SMALL_RECIPE, ["sft.weight_decay=0.1"]);
  expect(loaded.position("sft.learning_rate")).toBe("recipes/small.yaml:17:18");
  expect(loaded.position("eval.from.1")).toBe("recipes/small.yaml:19:20");
  expect(loaded.position("sft.seed")).toBe("recipes/small.yaml:14:1");
  expect(loaded.position("mask.schedule")).toBe("recipes/small.yaml:1:1");
  expect(loaded.position("sft.weight_decay")).toBe("--set sft.weight_decay=0.1");
  expect(loaded.isWritten("sft.learning_rate")).toBe(true);
  expect(loaded.isWritten("sft.warmup_ratio")).toBe(false);
});

test("an override is YAML, later ones win, and sections are added", () => {
  const { recipe } = smallRecipe(SMALL_RECIPE, [
    "sft.learning_rate=1e-3",
    "sft.learning_rate=2e-3",
    "mask.schedule=cosine",
    "eval.tasks=[heldout_likelihood]",
    "hardware={threads: 3}",
    "eval.from.0=sft",
    "eval.from.1=pretrain",
  ]);
  expect(recipe.sft?.learning_rate).toBe(2e-3);
  expect(recipe.mask.schedule).toBe("cosine");
  expect(recipe.eval?.tasks).toEqual(["heldout_likelihood"]);
  expect(recipe.eval?.from).toEqual(["sft", "pretrain"]);
  expect(recipe.hardware.threads).toBe(3);
});

test("problems of overrides come after those of the file and name the override", () => {
  expect(
    problemsOf(SMALL_RECIPE.replace("max_steps", "max_step"), [
      "sft.learnin_rate=1e-3",
      "sft.max_steps=many",
      "name.first=x",
    ]),
  ).toBe(`r.yaml:12:3: unknown key "max_step" in pretrain
  12 |   max_step: 100
     |   ^^^^^^^^
  expected one of: adam_beta1, adam_beta2, adam_epsilon, dataset_args, drop_tail, eval_steps,
    eval_strategy, global_batch_size, gradient_accumulation_steps, group_by_length, insert_eos,
    keep_steps, learning_rate, logging_steps, lr_scheduler_type, max_bad_row_ratio, max_grad_norm,
    max_length, max_steps, num_train_epochs, on_bad_row, per_device_eval_batch_size,
    per_device_train_batch_size, save_steps, save_total_limit, stopping_strategy, streaming,
    test_fraction, text_field, warmup_ratio, warmup_steps, weight_decay
  did you mean "max_steps"?
--set sft.learnin_rate=1e-3: unknown key "learnin_rate" in sft
  expected one of: adam_beta1, adam_beta2, adam_epsilon, dataset_args, eval_steps, eval_strategy,
    global_batch_size, gradient_accumulation_steps, group_by_length, keep_steps, learning_rate,
    logging_steps, lr_scheduler_type, mask_prompt_loss, max_bad_row_ratio, max_grad_norm,
    max_length, max_steps, num_train_epochs, on_bad_row, per_device_eval_batch_size,
    per_device_train_batch_size, save_steps, save_total_limit, stopping_strategy, test_fraction,
    truncation, warmup_ratio, warmup_steps, weight_decay
  did you mean "learning_rate"?
--set sft.max_steps=many: max_steps is "many", expected an integer at least -1
--set name.first=x: there is no section to put "first" into
4 problems in r.yaml`);
});

test("an override that is no key=value is a usage error", () => {
  expect(problemsOf(SMALL_RECIPE, ["sft"])).toBe(
    "--set sft: expected key=value, with a key like sft.max_steps",
  );
  expect(problemsOf(SMALL_RECIPE, ["a..b=1"])).toContain("expected key=value");
});

const header = `name: x
model: {config: {}}
tokenizer: {train: {vocab_size: 512, dataset_args: t}}
`;

const cases: Record<string, [text: string, problems: string]> = {
  "nothing at all": [
    "",
    `r.yaml:1:1: missing key "name"
  name: Name of the run: its files go to runs/<name>/.
  a file without a name is a part: it is checked with the recipes that extend it
r.yaml:1:1: missing key "model"
  model: The model: from scratch (preset, config) or an existing one (name_or_path).
r.yaml:1:1: the recipe has no stage
  add at least one of: pretrain, sft, export
3 problems in r.yaml`,
  ],
  "a list": [
    "- name: x\n",
    `r.yaml:1:1: the recipe is a list, expected keys
  1 | - name: x
    | ^`,
  ],
  "a number as text": [
    `${header}pretrain:\n  dataset_args: t\n  learning_rate: "1e-4"\n`,
    `r.yaml:6:18: learning_rate is "1e-4", expected a number above 0
  6 |   learning_rate: "1e-4"
    |                  ^^^^^^
  it is a text: write 1e-4, without quotes and underscores`,
  ],
  "a number with underscores in quotes": [
    `${header}pretrain: {dataset_args: t, max_steps: "1_000"}\n`,
    `r.yaml:4:40: max_steps is "1_000", expected an integer at least -1
  4 | pretrain: {dataset_args: t, max_steps: "1_000"}
    |                                        ^^^^^^^
  it is a text: write 1000, without quotes and underscores`,
  ],
  "a word of YAML 1.1": [
    `${header}pretrain:\n  dataset_args: t\n  insert_eos: yes\n`,
    `r.yaml:6:15: insert_eos is "yes", expected true or false
  6 |   insert_eos: yes
    |               ^^^
  write true`,
  ],
  "a wrong word": [
    `${header}pretrain: {dataset_args: t}\nmask:\n  loss_norm_type: tokens\n`,
    `r.yaml:6:19: loss_norm_type is "tokens", expected "token", "sequence" or "batch"
  6 |   loss_norm_type: tokens
    |                   ^^^^^^
  did you mean "token"?`,
  ],
  "a key in the wrong section": [
    `${header}pretrain: {dataset_args: t}\nmask:\n  cfg_scale: 2\n`,
    `r.yaml:6:3: unknown key "cfg_scale" in mask
  6 |   cfg_scale: 2
    |   ^^^^^^^^^
  expected one of: loss_norm_type, loss_weight_type, schedule, time_epsilon
  it is a key of eval.sampler`,
  ],
  "an empty section": [
    `${header}pretrain: {dataset_args: t}\nexport:\n`,
    `r.yaml:5:1: export is empty, expected a map
  5 | export:
    | ^^^^^^
  for its defaults write "export: {}"`,
  ],
  "a missing key, not beside its own typo": [
    `${header}pretrain:\n  dataset_arg: t\nsft:\n  max_length: 64\n`,
    `r.yaml:5:3: unknown key "dataset_arg" in pretrain
  5 |   dataset_arg: t
    |   ^^^^^^^^^^^
  expected one of: adam_beta1, adam_beta2, adam_epsilon, dataset_args, drop_tail, eval_steps,
    eval_strategy, global_batch_size, gradient_accumulation_steps, group_by_length, insert_eos,
    keep_steps, learning_rate, logging_steps, lr_scheduler_type, max_bad_row_ratio, max_grad_norm,
    max_length, max_steps, num_train_epochs, on_bad_row, per_device_eval_batch_size,
    per_device_train_batch_size, save_steps, save_total_limit, stopping_strategy, streaming,
    test_fraction, text_field, warmup_ratio, warmup_steps, weight_decay
  did you mean "dataset_args"?
r.yaml:6:1: missing key "dataset_args" in sft
  6 | sft:
    | ^^^
  dataset_args: Conversations (rows with \`messages\`) to fine-tune on: one or more of
    \`name[key:value,…]\` joined with \`+\` or \`|\`, or a list of datasets; a name is a file or
    directory relative to the recipe, \`npm:<package>/<path>\`, or a Hugging Face dataset.
2 problems in r.yaml`,
  ],
  "a duplicate key": [
    `${header}pretrain:\n  dataset_args: t\n  dataset_args: u\n`,
    `r.yaml:6:3: duplicate key "dataset_args" in pretrain
  6 |   dataset_args: u
    |   ^^^^^^^^^^^^
  it was first written at r.yaml:5:3`,
  ],
  "a list where it repeats": [
    `${header}pretrain: {dataset_args: t}\neval: {from: [pretrain, pretrain]}\n`,
    `r.yaml:5:25: from names "pretrain" twice
  5 | eval: {from: [pretrain, pretrain]}
    |                         ^^^^^^^^`,
  ],
  "sft without a model": [
    `${header}sft: {dataset_args: t}\n`,
    `r.yaml:4:1: sft has no model to start from: there is neither pretrain nor model.name_or_path
  4 | sft: {dataset_args: t}
    | ^^^
  add "pretrain:" before it, or name an existing model in "model: {name_or_path: …}"`,
  ],
  "lengths beyond the model's": [
    `name: x
model: {config: {max_position_embeddings: 64}}
tokenizer: {train: {vocab_size: 512, dataset_args: t}}
pretrain: {dataset_args: t, max_length: 65}
sft: {dataset_args: t}
`,
    `r.yaml:2:43: sft.max_length is 512, expected at most max_position_embeddings (64)
  2 | model: {config: {max_position_embeddings: 64}}
    |                                           ^^
  lower max_length, or raise model.config.max_position_embeddings
r.yaml:4:41: pretrain.max_length is 65, expected at most max_position_embeddings (64)
  4 | pretrain: {dataset_args: t, max_length: 65}
    |                                         ^^
  lower max_length, or raise model.config.max_position_embeddings
2 problems in r.yaml`,
  ],
  "two lengths of a training": [
    `${header}pretrain: {dataset_args: t, max_steps: 10, num_train_epochs: 2}\n`,
    `r.yaml:4:40: max_steps 10 and num_train_epochs are both written, and each decides the length
  4 | pretrain: {dataset_args: t, max_steps: 10, num_train_epochs: 2}
    |                                        ^^
  remove one of the two
  max_steps: -1 leaves it to num_train_epochs`,
  ],
  "an evaluation of an absent stage": [
    `${header}pretrain: {dataset_args: t}\neval: {from: [sft], tasks: [exact_match]}\n`,
    `r.yaml:5:15: eval.from names "sft", a stage that this recipe does not have
  5 | eval: {from: [sft], tasks: [exact_match]}
    |               ^^^
  expected one of: pretrain, model
r.yaml:5:29: exact_match needs conversations with answers, and this recipe has no sft
  5 | eval: {from: [sft], tasks: [exact_match]}
    |                             ^^^^^^^^^^^
  remove it from eval.tasks
2 problems in r.yaml`,
  ],
  "heads that do not divide the width": [
    `name: x
model: {config: {hidden_size: 100, num_attention_heads: 8}}
tokenizer: {name_or_path: t}
pretrain: {dataset_args: t}
`,
    `r.yaml:2:31: hidden_size 100 over num_attention_heads 8 gives 12.5 per head, expected an even integer
  2 | model: {config: {hidden_size: 100, num_attention_heads: 8}}
    |                               ^^^
  the nearest hidden_size for 8 heads is 96`,
  ],
  "fewer steps than blocks": [
    `${header}pretrain: {dataset_args: t}
eval: {sampler: {max_new_tokens: 128, block_size: 32, steps: 3}}
`,
    `r.yaml:5:62: steps is 3, expected at least 4: 128 new tokens in blocks of 32 are 4 blocks, and each takes at least one step
  5 | eval: {sampler: {max_new_tokens: 128, block_size: 32, steps: 3}}
    |                                                              ^`,
  ],
  "no source of a model": [
    "name: x\nmodel: {}\npretrain: {dataset_args: t}\n",
    `r.yaml:2:1: model has neither preset, config nor name_or_path
  2 | model: {}
    | ^^^^^
  to train from scratch write "preset:" with a published architecture or "config:" with the
    model's size, to start from an existing model "name_or_path:"`,
  ],
  "no tokenizer": [
    "name: x\nmodel: {config: {}}\npretrain: {dataset_args: t}\n",
    `r.yaml:2:9: a model from scratch has no tokenizer of its own
  2 | model: {config: {}}
    |         ^^^^^^
  add "tokenizer:" with "train:" (a new one) or "name_or_path:" (an existing one)`,
  ],
  "a name that escapes its directory": [
    `${header.replace("name: x", "name: ../x")}pretrain: {dataset_args: t}\n`,
    `r.yaml:1:7: name is "../x", expected at most 128 letters, digits, \`.\`, \`_\` and \`-\`, beginning with a letter or digit
  1 | name: ../x
    |       ^^^^`,
  ],
  "no YAML": [
    "name: x\nmodel: {config: {}\nsft: [\n",
    `r.yaml:3:1: not valid YAML: Flow map in block collection must be sufficiently indented and end with a }
  3 | sft: [
    | ^
r.yaml:4:1: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]
2 problems in r.yaml`,
  ],
};

test.each(Object.entries(cases))("diagnostics: %s", (_, [text, problems]) => {
  expect(problemsOf(text)).toBe(problems);
});

test("an integer may have underscores", () => {
  const { recipe } = smallRecipe(SMALL_RECIPE.replace("max_steps: 100", "max_steps: 1_000_000"), [
    "seed=1_0",
  ]);
  expect(recipe.pretrain?.max_steps).toBe(1_000_000);
  expect(recipe.seed).toBe(10);
  // What is no integer in groups stays a text.
  expect(problemsOf(SMALL_RECIPE.replace("max_steps: 100", "max_steps: 1__000"))).toContain(
    'max_steps is "1__000", expected an integer at least -1',
  );
});

test("a fraction of steps is below 1, and steps are integers", () => {
  const problems = problemsOf(
    `${header}pretrain: {dataset_args: t, save_steps: 2.5, eval_steps: 0.25, logging_steps: 1}\n`,
  );
  expect(problems)
    .toBe(`r.yaml:4:41: save_steps is 2.5, expected an integer (steps) or a number below 1 (a fraction of all)
  4 | pretrain: {dataset_args: t, save_steps: 2.5, eval_steps: 0.25, logging_steps: 1}
    |                                         ^^^`);
});

test("at most 20 problems are shown, and all are counted", () => {
  const lines = Array.from({ length: 30 }, (_, i) => `zzzz${i}: 1`).join("\n");
  const problems = problemsOf(`${header}pretrain: {dataset_args: t}\n${lines}\n`);
  expect(problems.match(/unknown key/g)).toHaveLength(20);
  expect(problems).toMatch(/\n30 problems in r\.yaml \(the first 20 are shown\)$/);
});

test("the file may begin with a byte order mark and end lines in CRLF", () => {
  const text = `\ufeff${SMALL_RECIPE.replaceAll("\n", "\r\n")}`;
  expect(parseRecipe(text.slice(1), { file: "r.yaml" }).position("sft.learning_rate")).toBe(
    "r.yaml:17:18",
  );
  expect(problemsOf(text)).toBe("");
});

test("control characters of a recipe never reach the terminal", () => {
  const problems = problemsOf(`name: "\\e[31m\u202ered"\nmodel: {config: {}}\n`);
  // eslint-disable-next-line no-control-regex
  expect(problems).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  expect(problems).toContain("expected at most 128 letters");
});
