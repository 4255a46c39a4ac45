/**
 * @file The canonical identity of a stage: what it computes and from what, never where or when.
 */
import { createHash } from "node:crypto";
import { basename, isAbsolute } from "node:path";
import { isDeepFrozen } from "../base/frozen.js";
import { canonicalJson, canonicalKeys, type JsonObject } from "../base/json.js";
import { codeVersions } from "./code-version.js";
import type { StageKind } from "./stage.js";

/** Raised when the form of what is hashed changes. */
const KEY_SCHEMA = 1;

/**
 * Keys of `train` that reach neither the artifact nor its metrics: when to save does not change
 * what is computed. Changing them must not repeat a training.
 */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(["save_steps", "save_total_limit"]);

export interface StageIdentity {
  kind: StageKind;
  params: JsonObject;
  /** Input name to the fingerprint of the stage that makes it. */
  inputs: Readonly<Record<string, string>>;
}

/**
 * Returns the fingerprint of a stage, sha256 in hex.
 * @throws TypeError when a parameter has no canonical JSON text
 */
export function fingerprint({ kind, params, inputs }: StageIdentity): string {
  // Canonical JSON of all that decides the output, its keys in order.
  const identity =
    `{"codeVersion":${codeVersions[kind]},"inputs":${canonicalJson(inputs, `inputs of ${kind}`)},` +
    `"keySchema":${KEY_SCHEMA},"kind":"${kind}","params":${paramsText(kind, params)}}`;
  return createHash("sha256").update(identity).digest("hex");
}

/** Whether a parameter (`train.learning_rate`) is part of the identity. */
export function hasEffect(paramPath: string): boolean {
  const [section, key] = paramPath.split(".");
  return section !== "train" || key === undefined || !WITHOUT_EFFECT.has(key);
}

/** Texts of what the trials of a sweep share: parameters of stages, sections of recipes. */
const texts = new WeakMap<object, string>();

/** The text of an object, which is made once where nothing in it can change. */
function textOnce(value: object, make: () => string): string {
  if (!isDeepFrozen(value)) return make();
  let text = texts.get(value);
  if (text === undefined) texts.set(value, (text = make()));
  return text;
}

function paramsText(kind: StageKind, params: JsonObject): string {
  const textOf: TextOf = (value, key) =>
    key === "train" && typeof value === "object" && value !== null && !Array.isArray(value)
      ? objectText(value, key, identityText, WITHOUT_EFFECT)
      : identityText(value, key);
  return textOnce(params, () => objectText(params, `params of ${kind}`, textOf));
}

type TextOf = (value: unknown, key: string) => string;

/** The canonical JSON text of the value of a key. */
function identityText(value: unknown, key: string): string {
  // A source may be named by an absolute path: where it is says nothing about what it is.
  if (key === "name" && typeof value === "string" && isAbsolute(value)) {
    return canonicalJson(basename(value));
  }
  if (typeof value !== "object" || value === null) return canonicalJson(value, key);
  // A list takes its key's meaning, and the same list may be the value of another key.
  if (Array.isArray(value)) return `[${value.map((item) => identityText(item, key)).join(",")}]`;
  return textOnce(value, () => objectText(value, key, identityText));
}

function objectText(
  value: object,
  path: string,
  textOf: TextOf,
  leftOut?: ReadonlySet<string>,
): string {
  const fields: string[] = [];
  for (const { key, quoted } of canonicalKeys(value, path)) {
    if (leftOut?.has(key) === true) continue;
    fields.push(`${quoted}:${textOf((value as Readonly<Record<string, unknown>>)[key], key)}`);
  }
  return `{${fields.join(",")}}`;
}
