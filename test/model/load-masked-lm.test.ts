/** @file A model predicts the same from mapped weight files as from weights in memory. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  createMaskedLm,
  loadMaskedLm,
  type InferenceOptions,
  type MaskedLanguageModel,
} from "../../src/model/masked-lm.js";
import { readModel, writeModel } from "../../src/model/model-directory.js";
import { initialiseParameters, tensorsOf } from "../../src/model/parameters.js";
import { safetensorsBytes, type TensorToWrite } from "../../src/model/safetensors.js";
import { bfloat16 } from "../support/bfloat16.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";
import { tinyArchitecture, tinyLayout } from "../support/tiny-model.js";

const parameters = initialiseParameters(tinyLayout, 1).map((value) => 4 * value);
const tensors = tensorsOf(tinyLayout, parameters);
const seq = 24;
const input = {
  inputIds: Int32Array.from({ length: seq }, (_, i) => (i * 7 + i * i) % 40),
  batch: 1,
  seq,
  positions: Int32Array.of(0, 3, 20),
};

const inBfloat16 = ({ data, ...rest }: TensorToWrite): TensorToWrite => ({
  ...rest,
  dtype: "BF16",
  data: bfloat16(data as Float32Array),
});

/** Writes two shards into a directory, and what names them into another. */
function writeShards(directory: string, shards: string, link: boolean): void {
  const halves = { "a.safetensors": tensors.slice(0, 7), "b.safetensors": tensors.slice(7) };
  const weightMap: Record<string, string> = {};
  for (const [name, half] of Object.entries(halves)) {
    writeFileSync(join(shards, name), safetensorsBytes(half));
    if (link) symlinkSync(join(shards, name), join(directory, name));
    for (const tensor of half) weightMap[tensor.name] = name;
  }
  rmSync(join(directory, "model.safetensors"));
  const index = JSON.stringify({ metadata: {}, weight_map: weightMap });
  writeFileSync(join(directory, "model.safetensors.index.json"), index);
}

const layouts: Record<string, (directory: string) => void> = {
  "one file": () => undefined,
  "a link to a file elsewhere, as in the Hub's cache": (directory) => {
    mkdirSync(join(directory, "blobs"));
    renameSync(join(directory, "model.safetensors"), join(directory, "blobs", "0123"));
    symlinkSync(join("blobs", "0123"), join(directory, "model.safetensors"));
  },
  shards: (directory) => writeShards(directory, directory, false),
  "links to shards": (directory) => {
    mkdirSync(join(directory, "blobs"));
    writeShards(directory, join(directory, "blobs"), true);
  },
  "half precision": (directory) => {
    const bytes = safetensorsBytes(tensors.map(inBfloat16));
    writeFileSync(join(directory, "model.safetensors"), bytes);
  },
  "half precision in part": (directory) => {
    const mixed = tensors.map((tensor, i) => (i % 2 ? tensor : inBfloat16(tensor)));
    writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(mixed));
  },
};

const modes: Record<string, InferenceOptions> = {
  float32: { threads: 1 },
  int8: { threads: 1, precision: "int8" },
  tfjs: { threads: 1, engine: "tfjs" },
};

async function logitsAndDispose(model: MaskedLanguageModel): Promise<Float32Array> {
  const logits = await model.logits(input);
  await model.dispose();
  return logits;
}

describe.each(Object.keys(layouts))("%s", (layout) => {
  test.each(Object.keys(modes))("%s", (mode) =>
    inTemporaryDirectory(async (directory) => {
      await writeModel(directory, tinyArchitecture, parameters);
      layouts[layout]!(directory);
      const read = await readModel(directory);
      const options = modes[mode]!;
      const expected = await createMaskedLm(tinyArchitecture, read.parameters, options);
      const loaded = await loadMaskedLm(directory, options);
      expect(await logitsAndDispose(loaded)).toEqual(await logitsAndDispose(expected));
    }),
  );
});

test("a weight file that is replaced or removed leaves a loaded model alone", () =>
  inTemporaryDirectory(async (directory) => {
    await writeModel(directory, tinyArchitecture, parameters);
    const model = await loadMaskedLm(directory, { threads: 1 });
    const before = await model.logits(input);
    const file = join(directory, "model.safetensors");
    writeFileSync(`${file}.new`, new Uint8Array(10));
    renameSync(`${file}.new`, file);
    expect(await model.logits(input)).toEqual(before);
    rmSync(file);
    expect(await logitsAndDispose(model)).toEqual(before);
  }));

test("weights that do not fit the config are refused", () =>
  inTemporaryDirectory(async (directory) => {
    await writeModel(directory, tinyArchitecture, parameters);
    writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(tensors.slice(1)));
    await expect(loadMaskedLm(directory, { threads: 1 })).rejects.toMatchObject({
      exitCode: 65,
      details: [`missing tensor ${tensors[0]!.name}`],
    });
  }));
