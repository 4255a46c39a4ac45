/** @file The parameters of a model in its weight files: read into one buffer, or left where they are. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { ParameterValues } from "../engine/stored-values.js";
import type { ParameterSpec } from "./family.js";
import type { ParameterLayout } from "./parameters.js";
import { openWeights, type SafetensorsFile, type WeightFiles } from "./safetensors.js";

/** The parameter that a tensor holds; undefined for one to leave out. */
export type ParameterName = (tensor: string) => string | undefined;

/** A parameter's tensor. */
interface StoredTensor {
  file: SafetensorsFile;
  tensor: string;
}

/**
 * Returns the tensor of each parameter, by name.
 * @throws DllmError 65 naming every missing, unexpected or misshapen tensor
 */
function findTensors(
  specs: readonly ParameterSpec[],
  { tensors, paths }: WeightFiles,
  parameterName: ParameterName,
): ReadonlyMap<string, StoredTensor> {
  const wanted = new Map(specs.map((spec) => [spec.name, spec]));
  const found = new Map<string, StoredTensor>();
  const problems: string[] = [];
  for (const [tensor, file] of tensors) {
    const parameter = parameterName(tensor);
    if (parameter === undefined) continue;
    const spec = wanted.get(parameter);
    if (spec === undefined) {
      problems.push(`unexpected tensor ${tensor}`);
      continue;
    }
    wanted.delete(parameter);
    found.set(parameter, { file, tensor });
    const { shape } = file.entries.get(tensor)!;
    if (shape.join() !== spec.shape.join()) {
      problems.push(
        `${tensor} has shape [${shape.join(", ")}], expected [${spec.shape.join(", ")}]`,
      );
    }
  }
  for (const name of wanted.keys()) problems.push(`missing tensor ${name}`);
  if (problems.length > 0) {
    throw new DllmError(`${paths[0]!} does not fit its config.json`, {
      exitCode: ExitCode.invalidInput,
      details: problems.slice(0, 20),
    });
  }
  return found;
}

/**
 * Returns the parameters of a model directory (model.safetensors or a sharded index; any float
 * dtype), float32 [layout.size].
 * @param stem name of the weight file before `.safetensors`
 * @throws DllmError 65 when they are not the layout's, 66 when there are none
 */
export async function loadParameters(
  { slots, size }: ParameterLayout,
  directory: string,
  parameterName: ParameterName,
  stem = "model",
): Promise<Float32Array> {
  const weights = await openWeights(directory, stem);
  try {
    const specs = slots.map(({ spec }) => spec);
    const found = findTensors(specs, weights, parameterName);
    const flat = new Float32Array(size);
    for (const { spec, offset, length } of slots) {
      const { file, tensor } = found.get(spec.name)!;
      await file.readFloat32(tensor, flat.subarray(offset, offset + length));
    }
    return flat;
  } finally {
    await weights.close();
  }
}

/**
 * Calls `use` with the parameters of a model directory by name: left in the files where those have
 * them as the machine computes with them, else read. Stored ones can be read until `use` is done.
 * @throws DllmError 65 when they are not those of the specs, 66 when there are none
 */
export async function withParameters<Result>(
  specs: readonly ParameterSpec[],
  directory: string,
  parameterName: ParameterName,
  use: (parameters: ReadonlyMap<string, ParameterValues>) => Promise<Result>,
): Promise<Result> {
  const weights = await openWeights(directory);
  try {
    const found = findTensors(specs, weights, parameterName);
    const isStored = [...found.values()].every(isComputable);
    const parameters = new Map<string, ParameterValues>();
    for (const { name, shape } of specs) {
      const { file, tensor } = found.get(name)!;
      const read = (): Promise<Float32Array> => file.readFloat32(tensor);
      const offset = file.entries.get(tensor)!.start;
      const { path } = file;
      parameters.set(
        name,
        isStored ? { shape, path, offset, read } : { shape, data: await read() },
      );
    }
    return await use(parameters);
  } finally {
    await weights.close();
  }
}

/** Whether a tensor is float32 and aligned. */
function isComputable({ file, tensor }: StoredTensor): boolean {
  const { dtype, start } = file.entries.get(tensor)!;
  return dtype === "F32" && start % 4 === 0;
}
