/** @file Dropout in training: the law of the masks, what they depend on, and where they are applied. */
import { logitsOf } from "../../src/graph/ops/cross-entropy.js";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sha256 } from "../../src/base/fs.js";
import type { JsonObject } from "../../src/base/json.js";
import { randomWords } from "../../src/base/random-words.js";
import { OnnxSession } from "../../src/engine/onnx-session.js";
import { writeOnnx } from "../../src/graph/onnx/writer.js";
import { input } from "../../src/graph/ops/source.js";
import { collectDropout, type DropoutSite } from "../../src/model/dropout.js";
import { forwardInputs } from "../../src/model/graph-inputs.js";
import { initialiseParameters, layOut } from "../../src/model/parameters.js";
import { parseArchitecture, type Architecture } from "../../src/model/registry.js";
import {
  readTrainingState,
  writeTrainingState,
  type TrainingState,
} from "../../src/train/checkpoint.js";
import { createKeepMasks } from "../../src/train/keep-masks.js";
import { emptyFigures, trainModel } from "../../src/train/loop.js";
import { createAdamWState } from "../../src/train/optimizer.js";
import { makeStepBatch, weightedSum, type MicroBatch } from "../../src/train/step-batches.js";
import { createTrainingStep } from "../../src/train/training-step.js";
import { maskId, padId, tinyDataset, tinyMask, tinySettings } from "../support/tiny-model.js";

const tinyBert: JsonObject = {
  model_type: "bert",
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 64,
  pad_token_id: padId,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.2,
};
const withoutDropout = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };
const architecture = parseArchitecture(tinyBert);
const layout = layOut(architecture.family.parameters(architecture.config));

function sitesOf({ family, config }: Architecture): readonly DropoutSite[] {
  const { dropout, sites } = collectDropout();
  const inputs = forwardInputs({ family, config }, { withAttentionMask: true });
  family.forward(config, { ...inputs, dropout });
  return sites;
}

function batchOf(rows: readonly number[], microBatchRows = rows.length): readonly MicroBatch[] {
  return makeStepBatch({
    dataset: tinyDataset(30),
    rows,
    mask: tinyMask,
    maskId,
    padId,
    seed: 42,
    epoch: 1,
    microBatchRows,
  }).microBatches;
}

describe("keep masks", () => {
  const probability = 0.1;
  const sites: DropoutSite[] = [
    { input: "a", probability, over: { kind: "features", width: 64 } },
    { input: "b", probability, over: { kind: "attention", heads: 4 } },
  ];
  const make = (samples: number[], seq: number, { seed = 1, epoch = 0 } = {}) => {
    const feeds = createKeepMasks(sites)({
      batch: samples.length,
      seq,
      key: { seed, epoch, samples },
    });
    return {
      features: feeds["a"]!.data as Uint8Array,
      attention: feeds["b"]!.data as Uint8Array,
      shapes: [feeds["a"]!.shape, feeds["b"]!.shape],
    };
  };
  const share = (mask: Uint8Array): number =>
    mask.reduce((sum, keep) => sum + keep, 0) / mask.length;

  test("each element is kept with 1 - p, independently of its neighbours", () => {
    const { features, attention, shapes } = make([0, 1, 2, 3], 128);
    expect(shapes).toEqual([
      [512, 64],
      [4, 4, 128, 128],
    ]);
    for (const mask of [features, attention]) {
      // Four standard deviations of a share of n draws.
      const tolerance = 4 * Math.sqrt((probability * (1 - probability)) / mask.length);
      expect(Math.abs(share(mask) - (1 - probability))).toBeLessThan(tolerance);
      for (const distance of [1, 2, 64, 128]) {
        const both = mask.slice(distance).map((keep, i) => keep & mask[i]!);
        // Overlapping pairs: the variance is below twice that of independent ones.
        const pairTolerance = 6 * Math.sqrt(0.81 * 0.19 * (2 / both.length));
        expect(Math.abs(share(both) - (1 - probability) ** 2)).toBeLessThan(pairTolerance);
      }
    }
  });

  test("heads, samples, sites, epochs and seeds have masks of their own", () => {
    const { features, attention } = make([0, 1], 16);
    const square = 16 * 16;
    const parts = [
      ...Array.from({ length: 8 }, (_, i) => attention.slice(i * square, (i + 1) * square)),
      ...Array.from({ length: 2 }, (_, i) => features.slice(i * 1024, i * 1024 + square)),
      make([0], 16, { epoch: 1 }).attention.slice(0, square),
      make([0], 16, { seed: 2 }).attention.slice(0, square),
      make([0], 16, { seed: 1 + 2 ** 32 }).attention.slice(0, square),
      make([2 ** 32], 16).attention.slice(0, square),
    ].map((mask) => mask.join(""));
    expect(new Set(parts).size).toBe(14);
    expect(make([0, 1], 16).attention).toEqual(attention);
  });

  test("a sample's mask depends neither on the batch it is in nor on its padding", () => {
    const [short, long] = [7, 19];
    const alone = make([5], short);
    const padded = make([3, 5], long);
    for (let token = 0; token < short; token++) {
      const row = (long + token) * 64;
      expect(padded.features.slice(row, row + 64)).toEqual(
        alone.features.slice(token * 64, (token + 1) * 64),
      );
      for (let head = 0; head < 4; head++) {
        const inLong = ((4 + head) * long + token) * long;
        const inShort = (head * short + token) * short;
        expect(padded.attention.slice(inLong, inLong + short)).toEqual(
          alone.attention.slice(inShort, inShort + short),
        );
      }
    }
  });

  test("the mean of the dropout's output over the samples is its input", async () => {
    const [samples, width, p] = [4000, 8, 0.3];
    const { dropout, sites: collected } = collectDropout();
    const x = input("x", "float32", ["batch*seq", width]);
    const session = await OnnxSession.create(
      writeOnnx({ outputs: { y: dropout(x, "place", p) } }),
      { threads: 1 },
    );
    const row = Float32Array.from({ length: width }, (_, i) => i - 3.5);
    const masks = createKeepMasks(collected)({
      batch: samples,
      seq: 1,
      key: { seed: 1, epoch: 0, samples: Array.from({ length: samples }, (_, i) => i) },
    });
    const data = Float32Array.from({ length: samples * width }, (_, i) => row[i % width]!);
    const feeds = { ...masks, x: { data, shape: [samples, width] } };
    const { y } = await session.run(feeds, {}, ["y"]);
    await session.dispose();
    row.forEach((value, column) => {
      let sum = 0;
      for (let i = column; i < y!.length; i += width) {
        expect([0, Math.fround(value * Math.fround(1 / (1 - p)))]).toContain(
          Math.abs(y![i]!) * Math.sign(value),
        );
        sum += y![i]!;
      }
      const deviation = Math.abs(value) * Math.sqrt(p / (1 - p) / samples);
      expect(Math.abs(sum / samples - value)).toBeLessThan(4 * deviation);
    });
  });

  test("draws are the AES-128 key stream of the key and counter that name them", () => {
    // head -c 16 /dev/zero | openssl enc -aes-128-ctr -K 00000002000000010000000300000000 \\
    //   -iv 08000004000000050000000600000000 | xxd -p
    const words = randomWords(
      { seed: 2 ** 32 + 2, purpose: "dropout", epoch: 4, sample: 3 * 2 ** 32 + 5 },
      6,
      8,
    );
    expect(Buffer.from(words.buffer, words.byteOffset, 16).toString("hex")).toBe(
      "9bff9959f816a916fe29e85ad0a33660",
    );
  });
});

describe("where a forward pass drops", () => {
  const places = (json: JsonObject) =>
    sitesOf(parseArchitecture(json)).map(({ input: name, probability, over }) => [
      name,
      probability,
      over.kind === "features" ? over.width : `${over.heads} heads`,
    ]);

  test("BERT and RoBERTa: embedding, attention probabilities, and both outputs of every layer", () => {
    for (const family of ["bert", "roberta"]) {
      const layer = (i: number) => [
        [`keep.${family}.encoder.layer.${i}.attention.self`, 0.2, "2 heads"],
        [`keep.${family}.encoder.layer.${i}.attention.output.dense`, 0.1, 16],
        [`keep.${family}.encoder.layer.${i}.output.dense`, 0.1, 16],
      ];
      expect(places({ ...tinyBert, model_type: family })).toEqual([
        [`keep.${family}.embeddings`, 0.1, 16],
        ...layer(0),
        ...layer(1),
      ]);
    }
  });

  const tinyModernBert: JsonObject = {
    ...tinyBert,
    model_type: "modernbert",
    local_attention: 8,
    num_hidden_layers: 2,
  };
  test("ModernBERT: embedding, attention probabilities and output, inside the MLP", () => {
    const layer = (i: number) => [
      [`keep.model.layers.${i}.attn`, 0.2, "2 heads"],
      [`keep.model.layers.${i}.attn.Wo`, 0.2, 16],
      [`keep.model.layers.${i}.mlp`, 0.3, 24],
    ];
    expect(
      places({
        ...tinyModernBert,
        embedding_dropout: 0.1,
        attention_dropout: 0.2,
        mlp_dropout: 0.3,
      }),
    ).toEqual([["keep.model.embeddings", 0.1, 16], ...layer(0), ...layer(1)]);
    expect(places({ ...tinyModernBert, mlp_dropout: 0.3 })).toEqual([layer(0)[2], layer(1)[2]]);
  });

  test.each([{ ...tinyBert, ...withoutDropout }, tinyModernBert])(
    "probability 0 leaves the graph of $model_type as it is",
    (json) => {
      const { family, config } = parseArchitecture(json);
      const graph = (options: object) =>
        writeOnnx({
          outputs: {
            logits: logitsOf(
              family.forward(config, {
                ...forwardInputs({ family, config }, { withAttentionMask: true }),
                ...options,
              }).decoder,
            ),
          },
        });
      const { dropout, sites } = collectDropout();
      expect(graph({ dropout }).equals(graph({}))).toBe(true);
      expect(sites).toEqual([]);
    },
  );

  test.each([1, -0.1, "0.1"])("a probability of %j is refused", (value) => {
    expect(() => parseArchitecture({ ...tinyBert, hidden_dropout_prob: value })).toThrow(
      `bert config: hidden_dropout_prob is ${JSON.stringify(value)}, expected a number from 0 to below 1`,
    );
  });

  test("dropout of anything but features or attention is a mistake", () => {
    const { dropout } = collectDropout();
    expect(() => dropout(input("x", "float32", ["masked", 4]), "x", 0.1)).toThrow(
      "dropout of float32 [masked, 4]: neither features of tokens nor attention",
    );
  });
});

describe("training step", () => {
  const createStep = (json: JsonObject, parameters: Float32Array) => {
    const gradient = new Float32Array(layout.size);
    const step = createTrainingStep({
      architecture: parseArchitecture(json),
      parameters,
      gradient,
      threads: 1,
    });
    return { step, gradient };
  };

  test("evaluation ignores dropout; differentiation has it", async () => {
    const parameters = initialiseParameters(layout, 3);
    const [batch] = batchOf([0, 1, 2, 3]);
    const { step } = createStep(tinyBert, parameters);
    const plain = createStep({ ...tinyBert, ...withoutDropout }, parameters);
    const evaluated = await step.evaluate(batch!);
    expect(evaluated).toEqual(await plain.step.evaluate(batch!));
    expect(await plain.step.differentiate(batch!)).toEqual(evaluated);
    const dropped = await step.differentiate(batch!);
    expect(dropped).not.toEqual(evaluated);
    expect(await step.differentiate(batch!)).toEqual(dropped);
    const withoutKey = { ...batch! };
    delete withoutKey.dropout;
    expect(await step.differentiate(withoutKey)).toEqual(evaluated);
    await step.dispose();
    await plain.step.dispose();
  });

  test("the gradient is that of the loss under the same masks", async () => {
    const parameters = initialiseParameters(layout, 3);
    // Wide weights, so that every part of the model matters.
    parameters.forEach((value, i) => (parameters[i] = 8 * value));
    const [batch] = batchOf([0, 1, 2, 3]);
    const { step, gradient } = createStep(tinyBert, parameters);
    const loss = async (): Promise<number> =>
      weightedSum(batch!.weights, await step.differentiate(batch!));
    const original = parameters.slice();
    await loss();
    const analytic = gradient.slice();
    for (const { spec, offset, length } of layout.slots) {
      // Mathematically zero: a shift of all keys cancels in the softmax, without dropout or with.
      if (spec.name.endsWith("key.bias")) continue;
      const here = analytic.slice(offset, offset + length);
      // Looking up the padding row gives no gradient on purpose, so that a difference disagrees.
      if (spec.name.endsWith("word_embeddings.weight")) here.fill(0, padId * 16, (padId + 1) * 16);
      const norm = Math.hypot(...here);
      const along = async (size: number): Promise<number> => {
        for (let i = 0; i < length; i++) {
          parameters[offset + i] = original[offset + i]! + (size * here[i]!) / norm;
        }
        return loss();
      };
      const epsilon = 1e-3;
      const slope = ((await along(epsilon)) - (await along(-epsilon))) / (2 * epsilon);
      await along(0);
      // Central differences in float32: below 1 % for all but tiny gradients, rounding 1e-6 / epsilon.
      expect(Math.abs(slope - norm), spec.name).toBeLessThan(0.02 * norm + 1e-3);
    }
    await step.dispose();
  });
});

describe("training with dropout", () => {
  const weightsHash = ({ parameters }: TrainingState): string =>
    sha256(new Uint8Array(parameters.buffer, parameters.byteOffset, parameters.byteLength));
  const freshState = (): TrainingState => ({
    step: 0,
    parameters: initialiseParameters(layout, 7),
    optimizer: createAdamWState(layout),
    figures: emptyFigures(),
  });
  const train = async (
    options: {
      state?: TrainingState;
      settings?: Partial<typeof tinySettings>;
      json?: JsonObject;
      stopAt?: number;
      microBatchRows?: number;
      checkpoint?: (state: TrainingState) => Promise<void>;
    } = {},
  ) => {
    const state = options.state ?? freshState();
    const losses: number[] = [];
    const outcome = await trainModel({
      architecture: parseArchitecture({ ...tinyBert, ...options.json }),
      state,
      train: tinyDataset(30),
      test: tinyDataset(10, 2),
      mask: tinyMask,
      settings: { ...tinySettings, ...options.settings },
      microBatchRows: options.microBatchRows ?? 4,
      seed: 42,
      maskId,
      padId,
      engine: { threads: 1 },
      stage: "sft",
      hooks: {
        record: ({ loss }) => loss !== undefined && losses.push(loss),
        progress: () => undefined,
        checkpoint: options.checkpoint ?? (() => Promise.resolve()),
        stopRequested: () => state.step === options.stopAt,
        now: () => 0,
      },
    });
    return { state, losses, outcome };
  };

  test("dropout changes the weights, and a resume gives the same bytes", async () => {
    const uninterrupted = await train();
    const undropped = await train({ json: withoutDropout });
    expect(weightsHash(uninterrupted.state)).not.toBe(weightsHash(undropped.state));
    const directory = mkdtempSync(join(tmpdir(), "dllm-dropout-"));
    const stopped = await train({
      stopAt: 9,
      checkpoint: (state) => writeTrainingState(directory, layout, state),
    });
    expect(stopped.outcome.stopped).toBe(true);
    const resumed = await train({ state: await readTrainingState(directory, layout) });
    expect(weightsHash(resumed.state)).toBe(weightsHash(uninterrupted.state));
    expect([...stopped.losses, ...resumed.losses]).toEqual(uninterrupted.losses);
  });

  test("2 x 4 and 4 x 2 rows are the step of 1 x 8", async () => {
    const run = async (microBatchRows: number) =>
      (
        await train({
          settings: { max_steps: 6, batch_size: 8, group_rows: 8 },
          microBatchRows,
        })
      ).losses;
    const whole = await run(8);
    expect(whole).toHaveLength(6);
    for (const losses of [await run(4), await run(2)]) {
      losses.forEach((loss, i) => expect(Math.abs(loss / whole[i]! - 1)).toBeLessThan(2e-6));
    }
  });
});
