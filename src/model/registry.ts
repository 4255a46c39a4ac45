/** @file The model families by name; a family missing here fails to compile. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import type { ModelFamily } from "../base/model-config.js";
import type { ModelConfig, ModelFamilyDefinition } from "./family.js";
import { bert } from "./bert.js";
import { modernbert } from "./modernbert.js";
import { roberta } from "./roberta.js";

export const modelFamilies = { modernbert, bert, roberta } satisfies Record<ModelFamily, unknown>;

/** A family together with a configuration that it accepted. */
export interface Architecture {
  family: ModelFamilyDefinition;
  config: ModelConfig;
}

/**
 * Returns the family and the parsed configuration of a config.json.
 * @throws DllmError 65 when `model_type` is unknown or a field is not supported
 */
export function parseArchitecture(json: JsonObject): Architecture {
  const name = json["model_type"];
  if (typeof name !== "string" || !Object.hasOwn(modelFamilies, name)) {
    throw new DllmError(`config.json: model_type is ${JSON.stringify(name) ?? "missing"}`, {
      exitCode: ExitCode.invalidInput,
      details: [`expected one of: ${Object.keys(modelFamilies).join(", ")}`],
    });
  }
  const family = modelFamilies[name as ModelFamily] as ModelFamilyDefinition;
  return { family, config: family.parseConfig(json) };
}
