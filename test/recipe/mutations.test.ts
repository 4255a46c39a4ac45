/**
 * @file Every key and value of every shipped recipe, made wrong in every way that applies, is
 * reported once, exactly where it is written: in the recipe itself, in the recipes it extends, in
 * its profiles and its sweep. What stays valid does so by a rule of `whyDead` or `typoOf`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { describe, expect, test } from "vitest";
import type { Shape } from "../../src/recipe/fields.js";
import { RecipeError, type Issue } from "../../src/recipe/issues.js";
import { readLayers } from "../../src/recipe/layers.js";
import { loadRecipe } from "../../src/recipe/load.js";
import { parseYaml } from "../../src/recipe/parse.js";
import { recipeFields } from "../../src/recipe/schema.js";
import { fieldsOf, shapeAt } from "../../src/recipe/shapes.js";
import { findNode, formatPosition } from "../../src/recipe/source-tree.js";
import { isSaidElsewhere, valueAt, whyDead } from "../support/layers.js";
import {
  keyPosition,
  movedTo,
  placesOf,
  positionAt,
  withDuplicate,
  withoutKey,
  withTypo,
  withValue,
  type Edited,
  type Place,
} from "../support/recipe-edits.js";

const shipped = readdirSync("recipes", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => join("recipes", name))
  // A part of a recipe is looked at through those that extend it.
  .filter((file) => /^name:/m.test(readFileSync(file, "utf8")));

/** Where a mutation must be reported, and how the report begins; or why it need not be. */
type Expected = { at: string; says: string } | { valid: string };

interface Mutation {
  kind: string;
  text: string;
  expected: Expected;
}

/** What became of mutations, by kind. */
const counts: Record<string, Record<string, number>> = {};

async function issuesOf(
  recipe: string,
  edited: Readonly<Record<string, string>>,
  profile?: string,
) {
  const read = (name: string) => Promise.resolve(edited[name] ?? readFileSync(name, "utf8"));
  try {
    await loadRecipe(recipe, { read, profiles: profile === undefined ? [] : [profile] });
    return [];
  } catch (error) {
    if (error instanceof RecipeError) return error.issues;
    throw error;
  }
}

describe.each(shipped)("%s", (recipe) => {
  test("gives no alarm, with each of its profiles too", async () => {
    const { root } = await readLayers(recipe);
    const profiles = root.entries.get("profiles")?.value;
    const names = profiles?.type === "map" ? [...profiles.entries.keys()] : [];
    expect(await issuesOf(recipe, {})).toEqual([]);
    for (const name of names) expect(await issuesOf(recipe, {}, name), name).toEqual([]);
  });

  test("reports every mutation", async () => {
    const { files } = await readLayers(recipe);
    const texts = files.map((file) => readFileSync(file, "utf8"));
    const failures: string[] = [];
    for (const [index, file] of files.entries()) {
      for (const place of placesOf(texts[index]!)) {
        // What a profile says is looked at where the profile is applied.
        const profile =
          place.path[0] === "profiles" && place.path.length > 2 ? place.path[1] : undefined;
        for (const mutation of mutationsOf(place, { files, texts, index })) {
          const issues = await issuesOf(recipe, { [file]: mutation.text }, profile);
          if (isAsExpected(mutation, issues)) continue;
          failures.push(
            `${mutation.kind} of ${file} ${place.path.join(".")}: ` +
              `expected ${JSON.stringify(mutation.expected)}, found`,
            ...issues.map(({ at, message }) => `  ${formatPosition(at)} ${message}`),
          );
        }
      }
    }
    expect(failures).toEqual([]);
  });
});

function isAsExpected({ kind, expected }: Mutation, issues: readonly Issue[]): boolean {
  const count = (counts[kind] ??= {});
  const outcome = "valid" in expected ? expected.valid : "reported";
  count[outcome] = (count[outcome] ?? 0) + 1;
  if ("valid" in expected) return issues.length === 0;
  const here = issues.filter(({ at }) => formatPosition(at) === expected.at);
  const right = here.filter(({ message }) => message.startsWith(expected.says));
  // Where there is no variable, there is no empty value.
  const isEmpty = issues.some(({ message }) => message.includes(" is empty, expected "));
  if (kind === "no such variable" && isEmpty) return false;
  // Several keys may be missing in one section.
  return right.length === 1 && (here.length === 1 || kind === "removed");
}

/** The files of a recipe, of which one is mutated; each extends the next. */
interface Layers {
  files: readonly string[];
  texts: readonly string[];
  index: number;
}

function* mutationsOf(place: Place, layers: Layers): Generator<Mutation> {
  const { files, texts, index } = layers;
  const file = files[index]!;
  const text = texts[index]!;
  const { path } = place;
  const name = path.at(-1)!;
  const root = parseYaml(text, { kind: "file", label: file, order: 0 }).root!;
  const { shape, inPartial } = shapeAt(root, path)!;

  const mutation = (kind: string, edited: Edited, says: string, effect = path): Mutation => {
    const changed = texts.map((each, i) => parse(i === index ? edited.text : each) as unknown);
    const valid = whyDead(changed, index, effect);
    const expected = valid === undefined ? { at: at(file, edited), says } : { valid };
    return { kind, text: edited.text, expected };
  };
  const wrong = (kind: string, written: string, found: string) =>
    mutation(kind, withValue(text, place, written), `${labelOf(place)} is ${found}, expected `);

  yield isSection(shape)
    ? wrong("wrong type", "[1]", "a list")
    : wrong("wrong type", "{a: 1}", "a map");
  if (place.kind === "scalar" && name !== "extends") {
    const edited = withValue(text, place, '"${qqq}"');
    yield mutation("no such variable", edited, 'there is no variable "qqq"');
  }
  if (shape.type === "choice") yield wrong("no such word", "qqq", '"qqq"');
  const beyond = outOfRange(shape);
  if (beyond !== undefined) yield wrong("out of range", String(beyond), String(beyond));
  if (["number", "integer", "boolean"].includes(shape.type)) {
    yield wrong("text instead", '"12"', '"12"');
  }

  if (place.key === undefined) return;
  const parent = shapeAt(root, path.slice(0, -1))!.shape;
  const typo = typoOf(place, text, parent);
  yield typo.valid === undefined
    ? mutation("typo", typo, typo.says, [...path.slice(0, -1), typo.typo])
    : { kind: "typo", text: typo.text, expected: { valid: typo.valid } };
  const duplicate = withDuplicate(text, place);
  yield {
    kind: "duplicate",
    text: duplicate.text,
    expected: { at: at(file, duplicate), says: `duplicate key ${JSON.stringify(name)}` },
  };
  yield wrongPlace(place, text, file);
  const presence = fieldsOf(parent, findNode(root, path.slice(0, -1)).node)[name]?.presence;
  if (presence === "required" && !inPartial) yield removal(place, layers);
}

const at = (file: string, { at: { line, column } }: Pick<Edited, "at">) =>
  `${file}:${line}:${column}`;

/** What the value is called: of a variable, or a value of a sweep, the key that takes it. */
function labelOf({ path }: Place): string {
  const name = path.at(-1)!;
  const swept = path.indexOf("parameters");
  const isSwept = swept !== -1 && path.slice(swept + 2, -1).join() === "values";
  if (isSwept) return path[swept + 1]!.split(".").at(-1)!;
  if (path.at(-2) === "vars") return takers[name]!;
  return /^\d+$/.test(name) ? `${path.at(-2)}[${name}]` : name;
}

/** For which key the value of a variable is. */
const takers: Readonly<Record<string, string>> = { alpaca: "dataset_args" };

const isSection = ({ type }: Shape) => ["map", "partial", "record", "variants"].includes(type);

function outOfRange(shape: Shape): number | undefined {
  if (shape.type !== "number" && shape.type !== "integer") return undefined;
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = shape;
  if (minimum !== undefined) return minimum - 1;
  return exclusiveMinimum ?? (maximum === undefined ? exclusiveMaximum : maximum + 1);
}

/** A key with a typo is unknown; a name of the writer's choice is missed where it is used. */
function typoOf(place: Place, text: string, parent: Shape) {
  const edited = withTypo(text, place);
  const { path, plain } = place;
  const unknown = (key: string, says = `unknown key "${key}"`) => ({
    ...edited,
    says,
    valid: undefined,
  });
  if (parent.type !== "record") return unknown(edited.typo);
  const section = path.at(-2);
  if (section === "parameters") {
    const keys = path.at(-1)!.split(".");
    const wrong = edited.typo.split(".").find((key) => !keys.includes(key))!;
    // Nothing to remove.
    return plain === null ? unknown("", `${edited.typo} is empty, expected `) : unknown(wrong);
  }
  // A stage more, of which a profile says only a part.
  if (path[0] === "profiles" && section === "stages") return unknown("", 'missing key "kind"');
  const use = path[0] === "profiles" ? undefined : firstUse(text, path.at(-1)!);
  if (use === undefined) return { ...edited, says: "", valid: "another name, which nothing needs" };
  return { ...edited, at: positionAt(edited.text, use.offset), says: use.says, valid: undefined };
}

/** Where a stage or variable is used first, and what is said where it is not there. */
function firstUse(text: string, name: string): { offset: number; says: string } | undefined {
  const typo = withTypo(
    text,
    placesOf(text).find(({ path }) => path.at(-1) === name)!,
  ).text;
  for (const { path, plain, value } of placesOf(typo)) {
    if (path[0] === "profiles" || typeof plain !== "string") continue;
    if (plain === `\${${name}}`)
      return { offset: value[0], says: `there is no variable "${name}"` };
    const key = path.findLast((each) => !/^\d+$/.test(each));
    if (key === "from" && plain.replace(/@.*/, "") === name) {
      return { offset: value[0], says: `stages.${path[1]}.from names "${name}", a stage that` };
    }
  }
  return undefined;
}

/** Moves a key out of its section: to the top level, or where that has it, into another one. */
function wrongPlace(place: Place, text: string, file: string): Mutation {
  const name = place.path.at(-1)!;
  const sections = ["mask", "export", "tokenizer", "hardware", "sweep"];
  const section = Object.hasOwn(recipeFields, name)
    ? sections.find((each) => !new RegExp(`^${each}:`, "m").test(text))!
    : "";
  const moved = movedTo(text, place, section);
  const says = `unknown key ${JSON.stringify(name)}${section === "" ? "" : ` in ${section}`}`;
  return { kind: "wrong place", text: moved.text, expected: { at: at(file, moved), says } };
}

/** A key that must be there is missed where its section is, in the layer that wrote that last. */
function removal(place: Place, { files, texts, index }: Layers): Mutation {
  const { path } = place;
  const text = withoutKey(texts[index]!, place);
  const edited = texts.map((each, i) => (i === index ? text : each));
  const plain = edited.map((each) => parse(each) as unknown);
  const section = path.slice(0, -1);
  const valid =
    whyDead(plain, index, path) ??
    (isSaidElsewhere(plain, index, path) ? "said by another layer" : undefined);
  if (valid !== undefined) return { kind: "removed", text, expected: { valid } };
  const writer = Math.max(
    0,
    plain.findIndex((root) => valueAt(root, section) !== undefined),
  );
  const own = edited[writer]!;
  // An item of a list has no key, and a recipe has none: their beginning.
  const start = keyPosition(own, section) ?? positionAt(own, startOf(own, section));
  const says = `missing key ${JSON.stringify(path.at(-1))}`;
  return { kind: "removed", text, expected: { at: at(files[writer]!, { at: start }), says } };
}

function startOf(text: string, section: readonly string[]): number {
  const places = placesOf(text);
  if (section.length === 0) return places[0]!.key![0];
  return places.find(({ path }) => path.join("\n") === section.join("\n"))!.value[0];
}

test("so many mutations", () => {
  console.table(counts);
  const reported = Object.values(counts).reduce((sum, each) => sum + (each["reported"] ?? 0), 0);
  expect(Object.keys(counts).sort()).toEqual([
    "duplicate",
    "no such variable",
    "no such word",
    "out of range",
    "removed",
    "text instead",
    "typo",
    "wrong place",
    "wrong type",
  ]);
  expect(reported).toBeGreaterThan(4000);
});
