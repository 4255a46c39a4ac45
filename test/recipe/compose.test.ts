/** @file Recipes made of layers: files that extend others, profiles, `--set`. */
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { RecipeError } from "../../src/recipe/issues.js";
import { loadFiles, problemsIn } from "../support/recipes.js";

const BASE = `description: what all have in common
model: {config: {hidden_size: 64, num_attention_heads: 4}}
tokenizer: {train: {vocab_size: 512, dataset_args: texts}}
pretrain:
  dataset_args: texts
  max_steps: 10
  keep_steps: [2, 4]
profiles:
  smoke: {pretrain: {max_steps: 8}}
  long: {pretrain: {max_steps: 1_000}}
`;
const CHILD = `name: child
extends: parts/base.yaml
pretrain: {max_steps: 20, keep_steps: [5], learning_rate: 1e-3}
`;
const files = { "r.yaml": CHILD, "parts/base.yaml": BASE };

describe("extends", () => {
  test("maps are merged, everything else is replaced", async () => {
    const { recipe, parents } = await loadFiles(files);
    expect(parents).toEqual(["parts/base.yaml"]);
    expect(recipe.name).toBe("child");
    expect(recipe.pretrain).toMatchObject({
      dataset_args: "texts",
      max_steps: 20,
      keep_steps: [5],
      learning_rate: 1e-3,
    });
    expect(recipe.model.config).toMatchObject({ hidden_size: 64, num_attention_heads: 4 });
  });

  test("name and description are a file's own", async () => {
    expect((await loadFiles(files)).recipe.description).toBeUndefined();
    expect(await problemsIn({ ...files, "r.yaml": CHILD.replace("name: child\n", "") })).toBe(
      `r.yaml:1:1: missing key "name"
  1 | extends: parts/base.yaml
    | ^
  name: Name of the run: its files go to runs/<name>/.
  a file without a name is a part: it is checked with the recipes that extend it`,
    );
  });

  test("how a recipe is composed is no part of the recipe", async () => {
    const { recipe } = await loadFiles(files);
    for (const key of ["extends", "vars", "profiles"]) expect(recipe).not.toHaveProperty(key);
  });

  test("of several, the later one wins, and each parent is laid over its own", async () => {
    const { recipe, parents } = await loadFiles({
      "r.yaml": "name: x\nextends: [a.yaml, b.yaml]\nseed: 3\n",
      "a.yaml": `${BASE}mask: {schedule: cosine, time_epsilon: 0.1}\nseed: 1\n`,
      "b.yaml": "extends: c.yaml\nmask: {time_epsilon: 0.2}\nseed: 2\n",
      "c.yaml": "mask: {time_epsilon: 0.3, loss_weight_type: uniform}\n",
    });
    expect(parents).toEqual(["a.yaml", "b.yaml", "c.yaml"]);
    expect(recipe.mask).toMatchObject({
      schedule: "cosine",
      time_epsilon: 0.2,
      loss_weight_type: "uniform",
    });
    expect(recipe.seed).toBe(3);
  });

  test("a file that two parents extend is read for both", async () => {
    const { recipe, parents } = await loadFiles({
      "r.yaml": "name: x\nextends: [a.yaml, b.yaml]\n",
      "a.yaml": "extends: parts/base.yaml\nseed: 1\n",
      "b.yaml": "extends: parts/base.yaml\n",
      "parts/base.yaml": BASE,
    });
    expect(parents).toEqual(["a.yaml", "parts/base.yaml", "b.yaml", "parts/base.yaml"]);
    expect(recipe.seed).toBe(1);
  });

  test("null removes what is inherited, a section or a value", async () => {
    const { recipe } = await loadFiles({
      ...files,
      "r.yaml": `${CHILD.replace("keep_steps: [5]", "keep_steps: null")}tokenizer: null
model: {config: null, name_or_path: m}
`,
    });
    expect(recipe.pretrain).not.toHaveProperty("keep_steps");
    expect(recipe).not.toHaveProperty("tokenizer");
    expect(recipe.model).toEqual({ name_or_path: "m" });
  });

  test("null that removes nothing is an empty value", async () => {
    expect(await problemsIn({ ...files, "r.yaml": `${CHILD}export: null\n` }))
      .toMatchInlineSnapshot(`
      "r.yaml:4:1: export is empty, expected a map
        4 | export: null
          | ^^^^^^
        for its defaults write "export: {}""
    `);
  });

  test("an inherited key that does not go with the recipe's own says how to remove it", async () => {
    expect(await problemsIn({ ...files, "r.yaml": `${CHILD}model: {name_or_path: m}\n` }))
      .toMatchInlineSnapshot(`
      "r.yaml:4:23: config is written beside name_or_path, whose own config applies
        4 | model: {name_or_path: m}
          |                       ^
        config comes from parts/base.yaml:2:9: to remove it write "config: null" beside it"
    `);
    expect(
      await problemsIn({
        "r.yaml": "name: x\nextends: base.yaml\nmodel: {preset: bert-base-cased}\n",
        "base.yaml": "model: {name_or_path: m}\nsft: {dataset_args: t}\n",
      }),
    ).toMatchInlineSnapshot(`
      "r.yaml:3:17: preset is written beside name_or_path, whose own config applies
        3 | model: {preset: bert-base-cased}
          |                 ^^^^^^^^^^^^^^^
        name_or_path comes from base.yaml:1:23: to remove it write "name_or_path: null" beside it"
    `);
  });

  test("so does a profile's, and --set's", async () => {
    const epochs = { ...files, "r.yaml": CHILD.replace("max_steps: 20", "num_train_epochs: 2") };
    expect(
      await problemsIn(
        { ...epochs, "parts/base.yaml": BASE.replace("  max_steps: 10\n", "") },
        {
          profiles: ["smoke"],
        },
      ),
    ).toMatchInlineSnapshot(`
      "parts/base.yaml:8:33: max_steps 8 and num_train_epochs are both written, and each decides the length
        8 |   smoke: {pretrain: {max_steps: 8}}
          |                                 ^
        num_train_epochs comes from r.yaml:3:30: to remove it write "num_train_epochs: null" beside it
        max_steps: -1 leaves it to num_train_epochs"
    `);
    expect(await problemsIn(files, { set: ["pretrain.num_train_epochs=2"] }))
      .toMatchInlineSnapshot(`
      "--set pretrain.num_train_epochs=2: max_steps 20 and num_train_epochs are both written, and each decides the length
        max_steps comes from r.yaml:3:23: to remove it add --set pretrain.max_steps=null
        max_steps: -1 leaves it to num_train_epochs"
    `);
  });

  test("a problem is shown in the file that has it, those of the recipe first", async () => {
    expect(
      await problemsIn({
        "r.yaml": CHILD.replace("learning_rate: 1e-3", "learning_rate: fast"),
        "parts/base.yaml": BASE.replace("[2, 4]", "[2, 4]\n  max_length: 0"),
      }),
    ).toMatchInlineSnapshot(`
      "r.yaml:3:59: learning_rate is "fast", expected a number above 0
        3 | pretrain: {max_steps: 20, keep_steps: [5], learning_rate: fast}
          |                                                           ^^^^
      parts/base.yaml:8:15: max_length is 0, expected an integer at least 1
        8 |   max_length: 0
          |               ^
      2 problems in r.yaml"
    `);
  });

  test("a list in a parent that is a map in the recipe", async () => {
    expect(
      await problemsIn({
        ...files,
        "parts/base.yaml": BASE.replace(/pretrain:\n[^]*?(?=profiles)/, "pretrain: [texts]\n"),
        "r.yaml": CHILD.replace("max_steps: 20", "max_steps: 20, dataset_args: t"),
      }),
    ).toMatchInlineSnapshot(`
      "parts/base.yaml:4:11: pretrain is a list, expected a map
        4 | pretrain: [texts]
          |           ^^^^^^^
        it is one at r.yaml:3:1, which is laid over this"
    `);
  });

  /** The exit code and text of the error that files give. */
  async function refusal(written: Record<string, string>): Promise<string> {
    const error: unknown = await loadFiles(written).catch((thrown: unknown) => thrown);
    if (!(error instanceof RecipeError)) throw new Error("no RecipeError", { cause: error });
    return `exit ${error.exitCode}: ${error.format()}`;
  }

  test("refused: a parent that is not there", async () => {
    expect(await refusal({ ...files, "r.yaml": CHILD.replace("parts/base", "parts/bas") }))
      .toMatchInlineSnapshot(`
        "exit 66: r.yaml:2:10: recipe parts/bas.yaml does not exist
          2 | extends: parts/bas.yaml
            |          ^^^^^^^^^^^^^^
          paths start at the directory of r.yaml"
      `);
  });

  test("refused: an address", async () => {
    const address = "https://example.org/base.yaml";
    expect(await refusal({ ...files, "r.yaml": CHILD.replace("parts/base.yaml", address) }))
      .toMatchInlineSnapshot(`
        "exit 65: r.yaml:2:10: https://example.org/base.yaml is an address: extends takes files, so download it and name the file
          2 | extends: https://example.org/base.yaml
            |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
      `);
  });

  test("refused: one of several that is not there", async () => {
    expect(
      await refusal({
        ...files,
        "r.yaml": CHILD.replace("parts/base.yaml", "[parts/base.yaml, absent.yaml]"),
      }),
    ).toMatchInlineSnapshot(`
      "exit 66: r.yaml:2:28: recipe absent.yaml does not exist
        2 | extends: [parts/base.yaml, absent.yaml]
          |                            ^^^^^^^^^^^
        paths start at the directory of r.yaml"
    `);
  });

  test("refused: a parent's parent that is not there", async () => {
    expect(await refusal({ ...files, "parts/base.yaml": `extends: absent.yaml\n${BASE}` }))
      .toMatchInlineSnapshot(`
        "exit 66: parts/base.yaml:1:10: recipe parts/absent.yaml does not exist
          1 | extends: absent.yaml
            |          ^^^^^^^^^^^
          paths start at the directory of parts/base.yaml"
      `);
  });

  test("refused: a recipe that extends itself", async () => {
    expect(await refusal({ "r.yaml": "name: x\nextends: r.yaml\n" })).toMatchInlineSnapshot(`
      "exit 65: r.yaml:2:10: the recipe extends itself: r.yaml -> r.yaml
        2 | extends: r.yaml
          |          ^^^^^^
        remove this one"
    `);
  });

  test("refused: itself, through others", async () => {
    expect(
      await refusal({
        "r.yaml": "name: x\nextends: parts/a.yaml\n",
        "parts/a.yaml": "extends: [../b.yaml]\n",
        "b.yaml": "extends: ./r.yaml\n",
      }),
    ).toMatchInlineSnapshot(`
      "exit 65: b.yaml:1:10: the recipe extends itself: r.yaml -> parts/a.yaml -> b.yaml -> r.yaml
        1 | extends: ./r.yaml
          |          ^^^^^^^^
        remove this one"
    `);
  });

  test("refused: what is no text", async () => {
    expect(
      await refusal({
        "r.yaml": "name: x\nextends: [1, ~]\nmodel: {name_or_path: m}\nsft: {dataset_args: t}\n",
      }),
    ).toMatchInlineSnapshot(`
      "exit 65: r.yaml:2:11: extends[0] is 1, expected the name of a recipe file
        2 | extends: [1, ~]
          |           ^
      r.yaml:2:14: extends[1] is empty, expected the name of a recipe file
        2 | extends: [1, ~]
          |              ^
      2 problems in r.yaml"
    `);
  });

  test("refused: a parent that is no YAML", async () => {
    expect(await refusal({ ...files, "parts/base.yaml": "model: {\n" })).toMatchInlineSnapshot(
      `"exit 65: parts/base.yaml:2:1: not valid YAML: Flow map in block collection must be sufficiently indented and end with a }"`,
    );
  });

  test("refused: a parent that is a list", async () => {
    expect(await refusal({ ...files, "parts/base.yaml": "- a\n" })).toMatchInlineSnapshot(`
      "exit 65: parts/base.yaml:1:1: the recipe is a list, expected keys
        1 | - a
          | ^"
    `);
  });

  test("refused: more files than any experiment has", async () => {
    expect(
      await refusal(
        Object.fromEntries(
          Array.from({ length: 40 }, (_, i) => [
            i === 0 ? "r.yaml" : `${i}.yaml`,
            `extends: ${i + 1}.yaml\n`,
          ]),
        ),
      ),
    ).toMatchInlineSnapshot(`
      "exit 65: 31.yaml:1:10: the recipe extends more than 32 files
        1 | extends: 32.yaml
          |          ^^^^^^^"
    `);
  });

  test("a relative path starts at the file that wrote it", async () => {
    const { directoryOf } = await loadFiles(
      {
        ...files,
        "r.yaml": `${CHILD}vars: {d: near}\nsft: {dataset_args: "\${d}"}\n`,
      },
      { set: ["tokenizer.train.dataset_args=here"] },
    );
    expect(directoryOf("pretrain.dataset_args")).toBe(resolve("parts"));
    expect(directoryOf("sft.dataset_args")).toBe(resolve("."));
    expect(directoryOf("tokenizer.train.dataset_args")).toBe(resolve("."));
    const profiled = await loadFiles(files, { profiles: ["smoke"] });
    expect(profiled.directoryOf("pretrain.max_steps")).toBe(resolve("parts"));
    expect(profiled.directoryOf("pretrain.keep_steps.0")).toBe(resolve("."));
  });
});

describe("profiles", () => {
  test("a profile is laid over the recipe, whose runs get a name of their own", async () => {
    const { recipe, position, layers } = await loadFiles(files, { profiles: ["smoke"] });
    expect(recipe.name).toBe("child-smoke");
    expect(recipe.pretrain?.max_steps).toBe(8);
    expect(position("pretrain.max_steps")).toBe("parts/base.yaml:9:33");
    expect(layers).toEqual({ profiles: ["smoke"], set: [] });
  });

  test("of several, the later one wins", async () => {
    const { recipe } = await loadFiles(files, { profiles: ["smoke", "long"] });
    expect(recipe.name).toBe("child-smoke-long");
    expect(recipe.pretrain?.max_steps).toBe(1000);
  });

  test("--set is laid over all", async () => {
    const { recipe } = await loadFiles(files, {
      profiles: ["smoke"],
      set: ["pretrain.max_steps=7", "pretrain.keep_steps=null", "name=other"],
    });
    expect(recipe.name).toBe("other");
    expect(recipe.pretrain?.max_steps).toBe(7);
    expect(recipe.pretrain).not.toHaveProperty("keep_steps");
  });

  test("a recipe's profile is merged with that of the files it extends", async () => {
    const { recipe } = await loadFiles(
      {
        ...files,
        "r.yaml": `${CHILD}profiles: {smoke: {seed: 1, pretrain: {keep_steps: null}}}\n`,
      },
      { profiles: ["smoke"] },
    );
    expect(recipe.seed).toBe(1);
    expect(recipe.pretrain?.max_steps).toBe(8);
    expect(recipe.pretrain).not.toHaveProperty("keep_steps");
  });

  test("an unknown profile", async () => {
    expect(await problemsIn(files, { profiles: ["smok"] })).toMatchInlineSnapshot(`
      "parts/base.yaml:8:1: there is no profile "smok" (--profile smok)
        8 | profiles:
          | ^
        profiles: smoke, long
        did you mean "smoke"?"
    `);
    expect(await problemsIn({ "r.yaml": "name: x\n" }, { profiles: ["smoke"] }))
      .toMatchInlineSnapshot(`
      "r.yaml:1:1: there is no profile "smoke" (--profile smoke)
        1 | name: x
          | ^
        the recipe has no profile
      r.yaml:1:1: the recipe has no stage
        1 | name: x
          | ^
        add at least one of: pretrain, sft, export
      2 problems in r.yaml"
    `);
  });

  test("a part of a stage says nothing of its kind, whose keys may be a list or a text", async () => {
    const stages = `stages:
  a: {kind: pretrain, dataset_args: t}
  b: {kind: eval, from: [a]}
  c: {kind: export, from: a}
profiles: {p: {stages: {b: {from: [model, a], data: a, limit: 3}, c: {from: a}}}}
`;
    const model = "name: x\nmodel: {name_or_path: m}\n";
    const { recipe } = await loadFiles({ "r.yaml": model + stages }, { profiles: ["p"] });
    expect(recipe.stages?.["b"]).toMatchObject({ from: ["model", "a"], limit: 3 });
  });

  test("a mistake in a profile is reported whether it is applied or not, once", async () => {
    const written = { ...files, "r.yaml": `${CHILD}profiles: {smoke: {sed: 1}}\n` };
    const message = (section: string) => `r.yaml:4:20: unknown key "sed"${section}`;
    const first = async (profiles: string[]) =>
      (await problemsIn(written, { profiles })).split("\n").filter((line) => /^\S/.test(line));
    expect(await first([])).toEqual([message(" in profiles.smoke")]);
    expect(await first(["smoke"])).toEqual([message("")]);
  });
});
