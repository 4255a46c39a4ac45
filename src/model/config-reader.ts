/** @file Reads typed fields of a model's config.json, with errors that name the field. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { Json, JsonObject } from "../base/json.js";
import type { ConfigReader } from "./family.js";

/** Returns a reader over the fields of a config.json of the given model type. */
export function readConfig(modelType: string, json: JsonObject): ConfigReader {
  const fail = (key: string, expected: string): never => {
    throw new DllmError(
      `${modelType} config: ${key} is ${JSON.stringify(json[key]) ?? "missing"}, expected ${expected}`,
      { exitCode: ExitCode.invalidInput },
    );
  };
  const field =
    <T extends Json>(accepts: (value: Json) => value is T, expected: string) =>
    (key: string, fallback?: T): T => {
      const value = json[key] ?? fallback;
      return value !== undefined && accepts(value) ? value : fail(key, expected);
    };
  return {
    integer: field(
      (value): value is number => Number.isInteger(value) && (value as number) >= 0,
      "a non-negative integer",
    ),
    number: field((value): value is number => typeof value === "number", "a number"),
    boolean: field((value): value is boolean => typeof value === "boolean", "true or false"),
    string: field((value): value is string => typeof value === "string", "a text"),
    expect(key, ...values) {
      const value = json[key];
      if (value === undefined || values.includes(value)) return;
      fail(key, values.map((item) => JSON.stringify(item)).join(" or "));
    },
  };
}
