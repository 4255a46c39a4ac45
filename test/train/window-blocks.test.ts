/** @file Sliding windows in blocks against the same windows as a mask over whole rows. */
import { describe, expect, test } from "vitest";
import type { EngineOptions } from "../../src/engine/session.js";
import { initialiseParameters, layOut } from "../../src/model/parameters.js";
import { parseArchitecture } from "../../src/model/registry.js";
import { createTrainingStep } from "../../src/train/training-step.js";

interface Case {
  localAttention: number;
  seq: number;
  /** Visible keys of each row. */
  visible: readonly number[];
  dropout?: number;
}

/** Loss and gradient of one batch, with and without blocks. */
async function bothWays(
  { localAttention, seq, visible, dropout = 0 }: Case,
  from: readonly [number, number],
  engine: EngineOptions = { threads: 1 },
) {
  const { family, config } = parseArchitecture({
    model_type: "modernbert",
    vocab_size: 40,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 5,
    num_attention_heads: 2,
    max_position_embeddings: 256,
    pad_token_id: 1,
    local_attention: localAttention,
    attention_dropout: dropout,
  });
  const layout = layOut(family.parameters(config));
  const parameters = initialiseParameters(layout, 1).map((value) => 12 * value);
  const isVisible = (i: number): boolean => i % seq < visible[Math.floor(i / seq)]!;
  const tokens = visible.length * seq;
  const positions = Int32Array.from({ length: tokens }, (_, i) => i).filter(
    (i) => i % 3 === 0 && isVisible(i),
  );
  const batch = {
    inputIds: Int32Array.from({ length: tokens }, (_, i) => (i * 7 + i * i) % 40),
    batch: visible.length,
    seq,
    ...(visible.some((keys) => keys < seq) && {
      attentionMask: Uint8Array.from({ length: tokens }, (_, i) => Number(isVisible(i))),
    }),
    positions,
    targets: positions.map((position) => position % 40),
    weights: new Float32Array(positions.length).fill(1 / positions.length),
    ...(dropout > 0 && {
      dropout: { seed: 1, epoch: 0, samples: visible.map((_, row) => row) },
    }),
  };
  const results = [];
  for (const windowBlocksFrom of from) {
    const gradient = new Float32Array(layout.size);
    const step = createTrainingStep({
      architecture: { family: { ...family, windowBlocksFrom: () => windowBlocksFrom }, config },
      parameters,
      gradient,
      ...engine,
    });
    const nll = await step.differentiate(batch);
    results.push({ nll, evaluated: await step.evaluate(batch), gradient });
    await step.dispose();
  }
  return results as [(typeof results)[0], (typeof results)[0]];
}

const difference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
const largest = (values: Float32Array): number =>
  difference(
    values,
    values.map(() => 0),
  );

const cases: readonly Case[] = [
  { localAttention: 8, seq: 32, visible: [32] },
  { localAttention: 8, seq: 33, visible: [33] },
  { localAttention: 8, seq: 39, visible: [39, 39] },
  { localAttention: 9, seq: 40, visible: [40, 40] },
  { localAttention: 2, seq: 17, visible: [17] },
  { localAttention: 64, seq: 20, visible: [20] },
  // Rows that end early: inside a window, and windows before where a block begins.
  { localAttention: 8, seq: 41, visible: [41, 30, 7, 1] },
];

describe.each(cases)("windows of $localAttention, $seq tokens, $visible visible", (each) => {
  test("loss and gradients are those of whole rows", async () => {
    const [whole, blocks] = await bothWays(each, [Infinity, 1]);
    expect(largest(whole.gradient)).toBeGreaterThan(1);
    expect(difference(blocks.nll, whole.nll)).toBeLessThan(1e-5 * largest(whole.nll));
    expect(difference(blocks.evaluated, whole.evaluated)).toBeLessThan(
      1e-5 * largest(whole.evaluated),
    );
    expect(difference(blocks.gradient, whole.gradient)).toBeLessThan(
      3e-5 * largest(whole.gradient),
    );
    // Otherwise the same graph was compared with itself.
    expect(blocks.gradient).not.toEqual(whole.gradient);
  });
});

describe("blocks are left alone", () => {
  const each: Case = { localAttention: 8, seq: 40, visible: [40] };

  test("below the length from which they pay", async () => {
    const [whole, short] = await bothWays(each, [Infinity, 41]);
    expect(short.gradient).toEqual(whole.gradient);
  });

  test("where attention drops probabilities, which are those of whole rows", async () => {
    const [whole, dropped] = await bothWays({ ...each, dropout: 0.1 }, [Infinity, 1]);
    expect(dropped.gradient).toEqual(whole.gradient);
  });

  test("on engine tfjs, which does not know them", async () => {
    const [whole, tfjs] = await bothWays(each, [Infinity, 1], { threads: 1, engine: "tfjs" });
    expect(tfjs.gradient).toEqual(whole.gradient);
  });
});
