/**
 * @file The canonical identity of a stage: what it computes and from what, never where or when.
 */
import { createHash } from "node:crypto";
import { basename, isAbsolute } from "node:path";
import { canonicalJson, type Json, type JsonObject } from "../base/json.js";
import { codeVersions } from "./code-version.js";
import type { StageKind } from "./stage.js";

/** Raised when the form of what is hashed changes. */
const KEY_SCHEMA = 1;

/**
 * Parameters that a stage needs but that reach neither its artifact nor its metrics: when to save
 * does not change what is computed. Changing them must not repeat a training.
 */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(["train.save_steps", "train.save_total_limit"]);

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
  const identity = {
    keySchema: KEY_SCHEMA,
    kind,
    codeVersion: codeVersions[kind],
    // Through canonical text first: it refuses what is no JSON, such as a date.
    params: effectiveParams(JSON.parse(canonicalJson(params)) as JsonObject, ""),
    inputs,
  };
  return createHash("sha256").update(canonicalJson(identity)).digest("hex");
}

/** Whether a parameter (`train.learning_rate`) is part of the identity. */
export function hasEffect(paramPath: string): boolean {
  return !WITHOUT_EFFECT.has(paramPath);
}

function effectiveParams(params: JsonObject, prefix: string): JsonObject {
  return Object.fromEntries(
    Object.entries(params)
      .filter(([key]) => hasEffect(prefix + key))
      .map(([key, value]) => [key, effectiveValue(key, value, prefix + key)]),
  );
}

function effectiveValue(key: string, value: Json, path: string): Json {
  // A source may be named by an absolute path: where it is says nothing about what it is.
  if (key === "name" && typeof value === "string" && isAbsolute(value)) return basename(value);
  if (Array.isArray(value)) {
    return (value as readonly Json[]).map((item, index) =>
      effectiveValue(key, item, `${path}.${index}`),
    );
  }
  return typeof value === "object" && value !== null
    ? effectiveParams(value as JsonObject, `${path}.`)
    : value;
}
