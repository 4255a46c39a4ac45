import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RecipeError } from "../../src/recipe/issues.js";
import { parseRecipe } from "../../src/recipe/load.js";
import { parseYaml } from "../../src/recipe/parse.js";
import { recipeFields } from "../../src/recipe/schema.js";
import type { Fields } from "../../src/recipe/fields.js";
import type { Position, SourceNode } from "../../src/recipe/source-tree.js";

/** Keys that the quickstart has no use for. */
const OTHER_KEYS = `name: report-bert
edition: report
dataset_separators: ["|", "+"]

model:
  preset: bert-base-cased
  family: bert
  config:
    num_hidden_layers: 2
    vocab_size: 30000
    type_vocab_size: 1
    layer_norm_eps: 1e-6
    hidden_dropout_prob: 0

tokenizer:
  name_or_path: tokenizer
pretrain:
  dataset_args: text
  max_length: 64
eval:
  prompt_special_tokens: true
  sampler:
    attention_mask: row
`;

const recipes = [
  {
    FILE: "recipes/quickstart.yaml",
    original: readFileSync("recipes/quickstart.yaml", "utf8"),
    atLeast: 36,
    requiredKeys: [
      "name",
      "model",
      "tokenizer.train.vocab_size",
      "tokenizer.train.dataset_args",
      "pretrain.dataset_args",
      "sft.dataset_args",
    ],
  },
  {
    FILE: "recipes/other-keys.yaml",
    original: OTHER_KEYS,
    atLeast: 21,
    requiredKeys: ["name", "model", "pretrain.dataset_args"],
  },
];

interface WrittenKey {
  path: string[];
  keyAt: Position;
  value: SourceNode;
}

function fieldOf(path: readonly string[]) {
  let fields: Fields = recipeFields;
  for (const key of path.slice(0, -1)) {
    const { shape } = fields[key]!;
    if (shape.type !== "map") throw new Error(`${path.join(".")} is in no map`);
    fields = shape.fields;
  }
  return fields[path.at(-1)!]!;
}

describe.each(recipes)("$FILE", ({ FILE, original, atLeast, requiredKeys }) => {
  /** Every key of the recipe, in file order. */
  function writtenKeys(): WrittenKey[] {
    const { root } = parseYaml(original, { kind: "file", label: FILE, order: 0 });
    const keys: WrittenKey[] = [];
    const visit = (node: SourceNode, path: string[]) => {
      if (node.type !== "map") return;
      for (const [key, { keyAt, value }] of node.entries) {
        keys.push({ path: [...path, key], keyAt, value });
        visit(value, [...path, key]);
      }
    };
    visit(root!, []);
    return keys;
  }

  const keys = writtenKeys();
  const named = keys.map((key) => [key.path.join("."), key] as const);

  function issuesOf(text: string) {
    try {
      parseRecipe(text, { file: FILE });
      return [];
    } catch (error) {
      if (error instanceof RecipeError) return error.issues;
      throw error;
    }
  }

  /** The lines that a key and its value take up. */
  function blockOf({ keyAt }: WrittenKey): { start: number; end: number } {
    const lines = original.split("\n");
    let end = keyAt.line;
    while (end < lines.length) {
      const line = lines[end]!;
      const indent = line.search(/\S/);
      if (indent !== -1 && indent < keyAt.column) break;
      end++;
    }
    // Blank lines and comments after the block belong to what follows.
    while (end > keyAt.line && lines[end - 1]!.trim() === "") end--;
    return { start: keyAt.line - 1, end };
  }

  function withLines(edit: (lines: string[]) => void): string {
    const lines = original.split("\n");
    edit(lines);
    return lines.join("\n");
  }

  test("the original gives no alarm and has many keys", () => {
    expect(issuesOf(original)).toEqual([]);
    expect(keys.length).toBeGreaterThanOrEqual(atLeast);
  });

  test.each(named)("typo in key %s", (_, { path, keyAt }) => {
    const key = path.at(-1)!;
    const middle = Math.ceil(key.length / 2);
    const typo = `${key.slice(0, middle)}q${key.slice(middle)}`;
    const text = withLines((lines) => {
      const line = lines[keyAt.line - 1]!;
      const start = keyAt.column - 1;
      lines[keyAt.line - 1] = line.slice(0, start) + typo + line.slice(start + key.length);
    });
    const issue = issuesOf(text).find(({ message }) => message.startsWith(`unknown key "${typo}"`));
    expect(issue?.at).toMatchObject({ line: keyAt.line, column: keyAt.column });
    expect(issue?.details).toContain(`did you mean "${key}"?`);
  });

  test.each(named)("wrong type of %s", (_, key) => {
    const { keyAt, value } = key;
    const isMap = value.type === "map";
    const text = withLines((lines) => {
      const { start, end } = blockOf(key);
      const head = lines[start]!.slice(0, keyAt.column - 1);
      // A map where a scalar or list should be, and the other way round.
      lines.splice(start, end - start, `${head}${key.path.at(-1)}: ${isMap ? "[1]" : "{a: 1}"}`);
    });
    const column = keyAt.column + key.path.at(-1)!.length + 2;
    const here = issuesOf(text).filter(({ at }) => at.line === keyAt.line && at.column === column);
    expect(here).toHaveLength(1);
    expect(here[0]?.message).toContain(
      `${key.path.at(-1)} is a ${isMap ? "list" : "map"}, expected `,
    );
  });

  test.each(named)("duplicate of %s", (_, key) => {
    const { start, end } = blockOf(key);
    const text = withLines((lines) => {
      lines.splice(end, 0, ...lines.slice(start, end));
    });
    const issues = issuesOf(text);
    expect(issues).toHaveLength(1);
    expect(issues[0]?.message).toContain(`duplicate key "${key.path.at(-1)}"`);
    expect(issues[0]?.at).toMatchObject({ line: end + 1, column: key.keyAt.column });
    expect(issues[0]?.details).toEqual([
      `it was first written at ${FILE}:${key.keyAt.line}:${key.keyAt.column}`,
    ]);
  });

  test.each(named.filter(([, { path }]) => path.length > 1))("%s at the top level", (_, key) => {
    const { start, end } = blockOf(key);
    const text = withLines((lines) => {
      const moved = lines
        .splice(start, end - start)
        .map((line) => line.slice(key.keyAt.column - 1));
      lines.push(...moved);
    });
    const line = text.split("\n").length - (end - start) + 1;
    const issue = issuesOf(text).find(({ at }) => at.line === line && at.column === 1);
    expect(issue?.message).toBe(`unknown key "${key.path.at(-1)}"`);
  });

  const required = named.filter(([, { path }]) => fieldOf(path).presence === "required");

  test("there are required keys", () => {
    expect(required.map(([name]) => name)).toEqual(requiredKeys);
  });

  test.each(required)("removed: %s", (_, key) => {
    const { start, end } = blockOf(key);
    const text = withLines((lines) => {
      // A section must not become empty with its last key.
      lines.splice(start, end - start);
    });
    const parent = keys.find(({ path }) => path.join(".") === key.path.slice(0, -1).join("."));
    const issue = issuesOf(text).find(({ message }) =>
      message.startsWith(`missing key "${key.path.at(-1)}"`),
    );
    const first = parseYaml(text, { kind: "file", label: FILE, order: 0 }).root!.at;
    const expected = parent?.keyAt ?? first;
    expect(issue?.at).toMatchObject({ line: expected.line, column: expected.column });
  });
});
