/** @file Reads typed fields of a model's config.json, with errors that name the field. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { Json, JsonObject } from "../base/json.js";
import { configDefaults, type ModelFamily } from "../base/model-config.js";
import type { ConfigReader } from "./family.js";

/** Returns a reader over the fields of a config.json of the given family. */
export function readConfig(family: ModelFamily, json: JsonObject): ConfigReader {
  const defaults: JsonObject = configDefaults[family];
  const fail = (key: string, expected: string): never => {
    throw new DllmError(
      `${family} config: ${key} is ${JSON.stringify(json[key]) ?? "missing"}, expected ${expected}`,
      { exitCode: ExitCode.invalidInput },
    );
  };
  const field =
    <T extends Json>(accepts: (value: Json) => value is T, expected: string) =>
    (key: string): T => {
      const value = json[key] ?? defaults[key];
      return value !== undefined && accepts(value) ? value : fail(key, expected);
    };
  return {
    integer: field(
      (value): value is number => Number.isInteger(value) && (value as number) >= 0,
      "a non-negative integer",
    ),
    number: field((value): value is number => typeof value === "number", "a number"),
    probability: field(
      (value): value is number => typeof value === "number" && value >= 0 && value < 1,
      "a number from 0 to below 1",
    ),
    expect(key, ...values) {
      const value = json[key];
      if (value === undefined || values.includes(value)) return;
      fail(key, values.map((item) => JSON.stringify(item)).join(" or "));
    },
  };
}
