/** @file `${name}` and `${env:NAME}` in recipes. */
import { expect, test } from "vitest";
import { loadFiles, problemsIn } from "../support/recipes.js";

const recipe = (vars: string, rest = "") => ({
  "r.yaml": `name: x
vars: ${vars}
model: {name_or_path: m}
sft:
  dataset_args: t
${rest}`,
});

async function sftOf(vars: string, rest: string, options: Parameters<typeof loadFiles>[1] = {}) {
  return (await loadFiles(recipe(vars, rest), options)).recipe.sft;
}

test("a value that is a variable has the variable's type", async () => {
  const sft = await sftOf(
    "{steps: 1_000, group: false, kept: [1, 2], data: [{name: a, weight: 2}, {name: b, weight: 1}]}",
    '  max_steps: ${steps}\n  group_by_length: ${group}\n  keep_steps: ${kept}\n  dataset_args: "${data}"\n'.replace(
      '  dataset_args: "${data}"\n',
      "",
    ),
  );
  expect(sft).toMatchObject({ max_steps: 1000, group_by_length: false, keep_steps: [1, 2] });
  const { recipe: mixed } = await loadFiles({
    "r.yaml": recipe("{data: [{name: a, weight: 2}, {name: b, weight: 1}]}")["r.yaml"].replace(
      "dataset_args: t",
      "dataset_args: ${data}",
    ),
  });
  expect(mixed.sft?.dataset_args).toEqual([
    { name: "a", weight: 2 },
    { name: "b", weight: 1 },
  ]);
});

test("a variable may be a whole section", async () => {
  const { recipe: loaded } = await loadFiles(recipe("{m: {schedule: cosine}}", "mask: ${m}\n"));
  expect(loaded.mask).toMatchObject({ schedule: "cosine", time_epsilon: 1e-3 });
});

test("within a text, several, and of any single value", async () => {
  const { recipe: loaded } = await loadFiles(
    recipe(
      "{corpus: wiki, n: 100}",
      'description: "${corpus} ${ n } $${corpus} $ {n} ${corpus}"\n',
    ),
  );
  expect(loaded.description).toBe("wiki 100 ${corpus} $ {n} wiki");
});

test("a variable may need others, in any order", async () => {
  const sft = await sftOf(
    '{a: "${b}/${c}", b: "x${c}", c: 7, d: "${c}"}',
    "  text: 1\n".replace("  text: 1\n", "  max_length: ${d}\n"),
  );
  expect(sft?.max_length).toBe(7);
  const { recipe: loaded } = await loadFiles(
    recipe('{a: "${b}/${c}", b: "x${c}", c: 7}', "description: ${a}\n"),
  );
  expect(loaded.description).toBe("x7/7");
});

test("profiles and --set change variables, wherever they are used", async () => {
  const files = recipe("{n: 10}", "  max_steps: ${n}\nprofiles: {smoke: {vars: {n: 2}}}\n");
  const steps = async (options: Parameters<typeof loadFiles>[1]) =>
    (await loadFiles(files, options)).recipe.sft?.max_steps;
  expect(await steps({})).toBe(10);
  expect(await steps({ profiles: ["smoke"] })).toBe(2);
  expect(await steps({ profiles: ["smoke"], set: ["vars.n=3"] })).toBe(3);
  expect(await steps({ set: ["vars.m=4", "sft.max_steps=${m}"] })).toBe(4);
});

test("variables of a file that is extended are known, and may be replaced", async () => {
  const { recipe: loaded, position } = await loadFiles({
    "r.yaml": "name: x\nextends: base.yaml\nvars: {a: 5}\n",
    "base.yaml": `vars: {a: 1, b: 2}
model: {name_or_path: m}
sft: {dataset_args: t, max_steps: "\${a}", warmup_steps: "\${b}"}
`,
  });
  expect(loaded.sft).toMatchObject({ max_steps: 5, warmup_steps: 2 });
  expect(position("sft.max_steps")).toBe("r.yaml:3:11");
  expect(position("sft.warmup_steps")).toBe("base.yaml:1:17");
});

test("an environment variable is read as YAML: numbers are numbers, texts are texts", async () => {
  const environment = { LR: "3e-4", DATA: "a b: c", EMPTY: "", FLAG: "false", LIST: "[1, 2]" };
  const sft = await sftOf(
    "{lr: '${env:LR}'}",
    "  learning_rate: ${lr}\n  group_by_length: ${env:FLAG}\n",
    { environment },
  );
  expect(sft).toMatchObject({ learning_rate: 3e-4, group_by_length: false });
  const text = async (value: string) =>
    (await loadFiles(recipe("{v: 1}", `description: ${value}\n`), { environment })).recipe
      .description;
  expect(await text('"${env:DATA}!"')).toBe("a b: c!");
  expect(await text("${env:DATA}")).toBe("a b: c");
  expect(await text("${env:LIST}")).toBe("[1, 2]");
  const loaded = await loadFiles(recipe("{v: 1}", "  max_length: ${env:N}\n"), {
    environment: { N: "9" },
  });
  expect(loaded.origin("sft.max_length")).toBe("environment");
});

test("the environment is not read where none is given", async () => {
  expect(await problemsIn(recipe("{v: 1}", "seed: ${env:PATH}\n"))).toMatchInlineSnapshot(`
    "r.yaml:6:7: the environment has no variable "PATH"
      6 | seed: \${env:PATH}
        |       ^^^^^^^^^^^
      set it, as in PATH=… dllm plan …, or write the value into the recipe"
  `);
});

test("a variable that is not there", async () => {
  expect(await problemsIn(recipe("{alpaca: t, lima: t}", "seed: ${alpacca}\n")))
    .toMatchInlineSnapshot(`
    "r.yaml:6:7: there is no variable "alpacca"
      6 | seed: \${alpacca}
        |       ^^^^^^^^^^
      vars: alpaca, lima
      did you mean "alpaca"?"
  `);
  expect(await problemsIn({ "r.yaml": "name: ${n}\nmodel: {name_or_path: m}\nexport: {}\n" }))
    .toMatchInlineSnapshot(`
    "r.yaml:1:7: there is no variable "n"
      1 | name: \${n}
        |       ^^^^
      define it under "vars:""
  `);
  expect(await problemsIn(recipe('{a: "${b}"}', ""))).toMatchInlineSnapshot(`
    "r.yaml:2:11: there is no variable "b"
      2 | vars: {a: "\${b}"}
        |           ^^^^^^
      vars: a"
  `);
});

test("variables that need each other", async () => {
  expect(
    await problemsIn(recipe('{a: "${b}", b: "x${c}", c: ["${a}"], d: "${a}"}', "seed: ${a}\n")),
  ).toMatchInlineSnapshot(`
    "r.yaml:2:22: variable "c" is a list, which no text can contain
      2 | vars: {a: "\${b}", b: "x\${c}", c: ["\${a}"], d: "\${a}"}
        |                      ^^^^^^^
    r.yaml:2:35: variables need each other in a circle: a -> b -> c -> a
      2 | vars: {a: "\${b}", b: "x\${c}", c: ["\${a}"], d: "\${a}"}
        |                                   ^^^^^^
    2 problems in r.yaml"
  `);
});

test("a text cannot contain a list or a map", async () => {
  expect(await problemsIn(recipe("{a: [1], b: {c: 1}}", 'description: "${a} and ${b}"\n')))
    .toMatchInlineSnapshot(`
    "r.yaml:6:14: variable "a" is a list, which no text can contain
      6 | description: "\${a} and \${b}"
        |              ^^^^^^^^^^^^^^^
    r.yaml:6:14: variable "b" is a map, which no text can contain
      6 | description: "\${a} and \${b}"
        |              ^^^^^^^^^^^^^^^
    2 problems in r.yaml"
  `);
});

test("a wrong value is reported where the variable is defined, once for all uses", async () => {
  expect(
    await problemsIn(
      recipe(
        "{n: many, list: [{nme: a}]}",
        '  max_steps: ${n}\npretrain: {dataset_args: t, max_steps: "${n}"}\n',
      ),
    ),
  ).toMatchInlineSnapshot(`
    "r.yaml:2:11: max_steps is "many", expected an integer at least -1
      2 | vars: {n: many, list: [{nme: a}]}
        |           ^^^^
      used as \${n} at r.yaml:7:40
      used as \${n} at r.yaml:6:14"
  `);
  expect(
    await problemsIn(
      recipe("{data: [{nme: a, weight: 0}]}", 'pretrain: {dataset_args: "${data}"}\n'),
    ),
  ).toMatchInlineSnapshot(`
    "r.yaml:2:16: unknown key "nme" in pretrain.dataset_args.0
      2 | vars: {data: [{nme: a, weight: 0}]}
        |                ^^^
      expected one of: completion, config, lang, max_samples, messages, name, prompt, revision, split,
        test, text, train, weight
      did you mean "name"?
      used as \${data} at r.yaml:6:26
    r.yaml:2:32: weight is 0, expected a number above 0
      2 | vars: {data: [{nme: a, weight: 0}]}
        |                                ^
      used as \${data} at r.yaml:6:26
    2 problems in r.yaml"
  `);
  expect(await problemsIn(recipe("{n: 0}", "  max_steps: ${n}\n"))).toMatchInlineSnapshot(`
    "r.yaml:2:11: max_steps is 0, expected -1 or an integer at least 1
      2 | vars: {n: 0}
        |           ^
      used as \${n} at r.yaml:6:14"
  `);
});

test("a variable in brackets needs quotes, and the error says so", async () => {
  expect(await problemsIn(recipe("{n: 1}", "mask: {time_epsilon: ${n}}\n"))).toMatchInlineSnapshot(`
    "r.yaml:6:23: not valid YAML: Unexpected flow-map-start at node end
      6 | mask: {time_epsilon: \${n}}
        |                       ^
      within […] and {…} a variable is written in quotes: "\${name}""
  `);
});

test("names that a plain object has are no variables", async () => {
  expect(await problemsIn(recipe("{v: 1}", "seed: ${toString}\n"))).toContain(
    'there is no variable "toString"',
  );
  expect(await problemsIn(recipe("{v: 1}", "seed: ${env:toString}\n"))).toContain(
    'the environment has no variable "toString"',
  );
});
