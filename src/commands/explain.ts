/**
 * @file `dllm explain <recipe> [key]` says who set a value, what that was laid over, and which
 * stages it reaches. Without a key: every value of the recipe with its origin.
 */
import pc from "picocolors";
import { DllmError, ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import { sanitize } from "../base/sanitize.js";
import { reachOf, type ReachedStage } from "../plan/reach.js";
import { recipeStages } from "../plan/identify.js";
import { nearest } from "../recipe/issues.js";
import type { LoadedRecipe } from "../recipe/load.js";
import type { Provenance, Writing } from "../recipe/provenance.js";
import { pinInputs } from "../stages/pins.js";
import type { CommandIo, ExplainCommand } from "./command.js";
import { loadWithOptions } from "./recipe-plan.js";

export const run: ExplainCommand = async ([recipe, rest], options, io) => {
  const { key, overrides } = splitKey(rest);
  const loaded = await loadWithOptions(recipe, overrides, options);
  if (key === undefined) {
    for (const line of allValues(loaded, options.json)) io.out(sanitize(line));
    return ExitCode.ok;
  }
  const provenance = loaded.provenance(key);
  if (!provenance.isPresent && provenance.doc === undefined) throw unknownKey(loaded, key);
  const stages = recipeStages(loaded, await pinInputs(loaded));
  const keys = provenance.usedBy ?? [key];
  const reaches = mergeReaches(keys.flatMap((each) => reachOf(listAround(loaded, each), stages)));
  if (options.json) {
    io.out(JSON.stringify({ ...provenance, reaches }, null, 2));
  } else {
    // Colours are ours: what may not be is shown by shortJson.
    for (const line of explanation(provenance, reaches, io)) io.out(line);
  }
  return ExitCode.ok;
};

/** Each stage once, with all its parameters. */
function mergeReaches(reaches: readonly ReachedStage[]): ReachedStage[] {
  const params = new Map<string, Set<string>>();
  for (const { stage, params: more } of reaches) {
    params.set(stage, new Set([...(params.get(stage) ?? []), ...more]));
  }
  return [...params].map(([stage, each]) => ({ stage, params: [...each] }));
}

/** A parameter has a list as a whole: an item of it reaches what the list does. */
function listAround(loaded: LoadedRecipe, key: string): string {
  const parts = key.split(".");
  for (let length = 1; length < parts.length; length++) {
    const path = parts.slice(0, length).join(".");
    if (Array.isArray(loaded.provenance(path).value)) return path;
  }
  return key;
}

/** The key is the argument that is no `key=value`. */
function splitKey(args: readonly string[]): { key?: string; overrides: string[] } {
  const overrides = args.filter((arg) => arg.includes("="));
  const [key, ...more] = args.filter((arg) => !arg.includes("="));
  if (more.length > 0) {
    throw new DllmError(`explain takes one key, found also ${more.join(", ")}`, {
      exitCode: ExitCode.usage,
    });
  }
  if (key === "") {
    throw new DllmError("the key is empty, expected one such as sft.learning_rate", {
      exitCode: ExitCode.usage,
      details: ["without a key, all values are listed"],
    });
  }
  return { ...(key !== undefined && { key }), overrides };
}

function unknownKey(loaded: LoadedRecipe, key: string): DllmError {
  const known = leaves(loaded.recipe as unknown as JsonObject, "").map(({ path }) => path);
  const suggestion = nearest(key, known) ?? known.find((path) => path.endsWith(`.${key}`));
  return new DllmError(`${loaded.file} has no key ${JSON.stringify(key)}`, {
    exitCode: ExitCode.notFound,
    details: [
      ...(suggestion === undefined ? [] : [`did you mean ${JSON.stringify(suggestion)}?`]),
      `dllm explain ${loaded.file} lists all keys`,
    ],
  });
}

/** Returns the explanation of one value. */
export function explanation(
  { keyPath, value, isPresent, writings, usedBy, defaultOf, doc }: Provenance,
  reaches: readonly ReachedStage[],
  io: Pick<CommandIo, "isTty">,
): string[] {
  const colors = pc.createColors(io.isTty && process.env["NO_COLOR"] === undefined);
  const [last, ...earlier] = writings;
  return [
    `${colors.bold(keyPath)}: ${isPresent ? colors.green(shortJson(value)) : "not there"}`,
    ...(doc === undefined ? [] : [colors.dim(`  ${doc}`)]),
    `  set by     ${last === undefined ? (defaultOf ?? "nobody") : writer(last)}`,
    ...earlier.map((each) => `  overrides  ${shortJson(each.value)} of ${writer(each)}`),
    ...(usedBy === undefined ? [] : [`  used by    ${usedBy.join(", ") || "nothing"}`]),
    ...(reaches.length === 0
      ? isPresent && usedBy === undefined
        ? [`  reaches    no parameter of a stage: it says how the recipe is run, composed or named`]
        : []
      : reaches.map(({ stage, params }, index) => {
          const label = index === 0 ? "reaches  " : "         ";
          const shown = params.slice(0, SHOWN_PARAMS).join(", ");
          const more =
            params.length > SHOWN_PARAMS ? ` and ${params.length - SHOWN_PARAMS} more` : "";
          return `  ${label}  ${stage}: ${shown}${more}`;
        })),
  ];
}

const SHOWN_PARAMS = 4;

function writer({ position, by }: Writing): string {
  return sanitize(by === undefined ? position : `${position} (${by})`);
}

function allValues(loaded: LoadedRecipe, json: boolean): string[] {
  const rows = leaves(loaded.recipe as unknown as JsonObject, "").map(({ path, value }) => {
    const { writings, defaultOf } = loaded.provenance(path);
    const [last] = writings;
    return { key: path, value, setBy: last === undefined ? (defaultOf ?? "nobody") : writer(last) };
  });
  if (json) return rows.map((row) => JSON.stringify(row));
  const width = (texts: readonly string[]) =>
    Math.min(48, Math.max(...texts.map(({ length }) => length)));
  const keyWidth = width(rows.map(({ key }) => key));
  const valueWidth = width(rows.map(({ value }) => shortJson(value)));
  return rows.map(({ key, value, setBy }) =>
    `${key.padEnd(keyWidth)}  ${shortJson(value).padEnd(valueWidth)}  ${setBy}`.trimEnd(),
  );
}

interface Leaf {
  path: string;
  value: unknown;
}

function leaves(section: JsonObject, prefix: string): Leaf[] {
  return Object.entries(section).flatMap(([key, value]) => {
    const path = `${prefix}${key}`;
    const isSection = typeof value === "object" && value !== null && !Array.isArray(value);
    return isSection ? leaves(value as JsonObject, `${path}.`) : [{ path, value }];
  });
}

function shortJson(value: unknown): string {
  const text = sanitize(typeof value === "string" ? value : JSON.stringify(value)).replace(
    /\s/g,
    " ",
  );
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
