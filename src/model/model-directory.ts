/**
 * @file Model directories in Hugging Face layout: config.json, model.safetensors and the files
 * of the tokenizer.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson, writeFile, writeJson } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { loadParameters } from "./parameter-files.js";
import { layOut, tensorsOf } from "./parameters.js";
import type { Architecture } from "./registry.js";
import { parseArchitecture } from "./registry.js";
import { writeSafetensors } from "./safetensors.js";

/** Returns the architecture that the config.json of a model directory describes. */
export function readArchitecture(directory: string): Architecture {
  const path = join(directory, "config.json");
  if (!existsSync(path)) {
    throw new DllmError(`${path}: no such file`, {
      exitCode: ExitCode.notFound,
      details: ["expected a model directory with config.json and model.safetensors"],
    });
  }
  return parseArchitecture(readJson(path) as JsonObject);
}

/**
 * Returns the architecture and the weights, float32 in the order of the layout.
 * @throws DllmError 65 when config and weights do not fit each other, 66 when one is absent
 */
export async function readModel(
  directory: string,
): Promise<{ architecture: Architecture; parameters: Float32Array }> {
  const architecture = readArchitecture(directory);
  const { family, config } = architecture;
  const parameters = await loadParameters(layOut(family.parameters(config)), directory, (tensor) =>
    family.parameterName(tensor),
  );
  return { architecture, parameters };
}

/** Copies those of the named files that a directory has, byte for byte. */
export async function copyFiles(
  from: string,
  to: string,
  names: readonly string[],
): Promise<readonly string[]> {
  const present = names.filter((name) => existsSync(join(from, name)));
  for (const name of present) await writeFile(join(to, name), await readFile(join(from, name)));
  return present;
}

/** Writes config.json and model.safetensors into a directory that the caller publishes. */
export async function writeModel(
  directory: string,
  { family, config }: Architecture,
  parameters: Float32Array,
): Promise<void> {
  await writeJson(join(directory, "config.json"), config.json);
  const layout = layOut(family.parameters(config));
  await writeSafetensors(join(directory, "model.safetensors"), tensorsOf(layout, parameters));
}
