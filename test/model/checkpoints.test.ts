/** @file Checkpoints as they are published: half precision, shards, old names, other heads. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readModel, writeModel } from "../../src/model/model-directory.js";
import { initialiseParameters, layOut, tensorsOf } from "../../src/model/parameters.js";
import { modelFamilies, parseArchitecture } from "../../src/model/registry.js";
import { safetensorsBytes, type TensorToWrite } from "../../src/model/safetensors.js";
import { bfloat16 } from "../support/bfloat16.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

const architecture = parseArchitecture(
  modelFamilies.bert.completeConfig(
    {
      hidden_size: 16,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      intermediate_size: 24,
      max_position_embeddings: 32,
    },
    { vocabSize: 40, padId: 0, bosId: 0, eosId: 0, clsId: undefined, sepId: undefined },
  ),
);
const layout = layOut(architecture.family.parameters(architecture.config));
const parameters = initialiseParameters(layout, 1).map((value) => value + 0.01);

interface Plain {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}
const tensors = tensorsOf(layout, parameters) as readonly Plain[];

/** Writes a model directory with other weights files than ours. */
async function directoryWith(
  directory: string,
  files: Readonly<Record<string, readonly TensorToWrite[]>>,
): Promise<void> {
  await writeModel(directory, architecture, parameters);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(directory, name), safetensorsBytes(content));
  }
}

describe("readModel", () => {
  test("bfloat16 weights, to their precision", () =>
    inTemporaryDirectory(async (directory) => {
      await directoryWith(directory, {
        "model.safetensors": tensors.map(({ data, ...rest }) => ({
          ...rest,
          dtype: "BF16",
          data: bfloat16(data),
        })),
      });
      const { parameters: read } = await readModel(directory);
      read.forEach((value, i) => {
        expect(Math.abs(value - parameters[i]!)).toBeLessThanOrEqual(
          Math.abs(parameters[i]!) / 128,
        );
      });
      expect(read).not.toEqual(parameters);
    }));

  test("the first checkpoints' names, a pooler, the next-sentence head and tied copies", () =>
    inTemporaryDirectory(async (directory) => {
      const [words] = tensors;
      const extra = (name: string, shape: number[]): Plain => ({
        name,
        shape,
        data: new Float32Array(shape.reduce((product, dim) => product * dim, 1)),
      });
      await directoryWith(directory, {
        "model.safetensors": [
          ...tensors.map((tensor) => ({
            ...tensor,
            name: tensor.name
              .replace("LayerNorm.weight", "LayerNorm.gamma")
              .replace("LayerNorm.bias", "LayerNorm.beta"),
          })),
          { ...words!, name: "cls.predictions.decoder.weight" },
          extra("cls.predictions.decoder.bias", [40]),
          extra("bert.pooler.dense.weight", [16, 16]),
          extra("cls.seq_relationship.weight", [2, 16]),
        ],
      });
      expect((await readModel(directory)).parameters).toEqual(parameters);
    }));

  test("what is missing, unexpected or of another shape is listed", () =>
    inTemporaryDirectory(async (directory) => {
      const [words, positions, ...others] = tensors;
      await directoryWith(directory, {
        "model.safetensors": [
          { ...words!, shape: [16, 40] },
          { ...positions!, name: "bert.embeddings.places.weight" },
          ...others,
        ],
      });
      await expect(readModel(directory)).rejects.toMatchObject({
        exitCode: 65,
        details: [
          "unexpected tensor bert.embeddings.places.weight",
          "bert.embeddings.word_embeddings.weight has shape [16, 40], expected [40, 16]",
          "missing tensor bert.embeddings.position_embeddings.weight",
        ],
      });
    }));
});
