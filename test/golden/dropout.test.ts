/**
 * @file Training with dropout against transformers under the same keep masks: the places, their
 * order, the scale, and every gradient. dropout/reference.py makes the expected values.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import type { JsonObject } from "../../src/base/json.js";
import { collectDropout } from "../../src/model/dropout.js";
import { forwardInputs } from "../../src/model/graph-inputs.js";
import { layOut, viewsOf } from "../../src/model/parameters.js";
import { parseArchitecture } from "../../src/model/registry.js";
import { createKeepMasks } from "../../src/train/keep-masks.js";
import { createTrainingStep } from "../../src/train/training-step.js";
import { testEngine } from "../support/engine.js";
import { printGolden } from "../support/golden.js";

interface Reference {
  nll: number[];
  gradients: Record<string, [norm: number, alongCosines: number]>;
}

const reference = JSON.parse(
  readFileSync(new URL("dropout/reference.json", import.meta.url), "utf8"),
) as Record<string, Reference>;

const shared = {
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  max_position_embeddings: 64,
  pad_token_id: 1,
};
const bertDropout = { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.2 };
const configs: Record<string, JsonObject> = {
  bert: { ...shared, ...bertDropout, layer_norm_eps: 1e-12, type_vocab_size: 2 },
  roberta: { ...shared, ...bertDropout, layer_norm_eps: 1e-5, type_vocab_size: 1 },
  modernbert: {
    ...shared,
    local_attention: 8,
    embedding_dropout: 0.1,
    attention_dropout: 0.2,
    mlp_dropout: 0.3,
    cls_token_id: 3,
    sep_token_id: 4,
    bos_token_id: 3,
    eos_token_id: 4,
  },
};

const [batch, seq] = [3, 12];
const hiddenFrom = 30; // the last row's second half is padding
const dropoutKey = { seed: 5, epoch: 2, samples: [4, 9, 0] };
const positions = Int32Array.of(0, 3, 5, 7, 13, 14, 20, 25, 28);
const targets = positions.map((position) => (position * 5) % 40);
const weights = Float32Array.from(positions, (_, i) => 0.05 + i / 50);

const written: Record<string, unknown> = {};
afterAll(() => {
  const path = process.env["DLLM_DROPOUT_CASES"];
  if (path !== undefined) writeFileSync(path, JSON.stringify(written));
});

test.each(Object.keys(configs))("%s: losses and gradients", async (name) => {
  const config = { model_type: name, ...configs[name]! };
  const architecture = parseArchitecture(config);
  const layout = layOut(architecture.family.parameters(architecture.config));
  const parameters = Float32Array.from({ length: layout.size }, (_, i) => 0.3 * Math.sin(i * i));
  for (const { spec, offset, length } of layout.slots) {
    if (spec.initialisation.kind === "ones") parameters.fill(1, offset, offset + length);
  }
  const inputIds = Int32Array.from({ length: batch * seq }, (_, i) =>
    i < hiddenFrom ? 2 + ((i * 7) % 38) : shared.pad_token_id,
  );
  const attentionMask = Uint8Array.from(inputIds, (_, i) => (i < hiddenFrom ? 1 : 0));

  const { dropout, sites } = collectDropout();
  architecture.family.forward(architecture.config, {
    ...forwardInputs(architecture, { withAttentionMask: true }),
    dropout,
  });
  const masks = createKeepMasks(sites)({ batch, seq, key: dropoutKey });
  const rows = (values: ArrayLike<number>) =>
    Array.from({ length: batch }, (_, row) => Array.from(values).slice(row * seq, (row + 1) * seq));
  const tolists = (flat: Float32Array) =>
    Object.fromEntries([...viewsOf(layout, flat)].map(([key, view]) => [key, [...view]]));
  written[name] = {
    config,
    input_ids: rows(inputIds),
    attention_mask: rows(attentionMask),
    positions: [...positions],
    targets: [...targets],
    weights: [...weights],
    masks: sites.map(({ input }) => [...(masks[input]!.data as Uint8Array)]),
    parameters: tolists(parameters),
  };

  const gradient = new Float32Array(layout.size);
  const step = createTrainingStep({ architecture, parameters, gradient, ...testEngine });
  const nll = await step.differentiate({
    ...{ inputIds, attentionMask, batch, seq, positions, targets, weights },
    dropout: dropoutKey,
  });
  await step.dispose();

  // Tolerances of the gradients without dropout (gradients.test.ts).
  const expected = reference[name]!;
  let worst = 0;
  expect(nll).toHaveLength(expected.nll.length);
  nll.forEach((value, i) => {
    const difference = Math.abs(value / expected.nll[i]! - 1);
    worst = Math.max(worst, difference);
    expect(difference).toBeLessThan(1e-5);
  });
  const views = viewsOf(layout, gradient);
  expect([...views.keys()].sort()).toEqual(Object.keys(expected.gradients).sort());
  for (const [parameter, [norm, alongCosines]] of Object.entries(expected.gradients)) {
    const view = views.get(parameter)!;
    const error = Math.max(
      Math.abs(Math.hypot(...view) - norm),
      Math.abs(view.reduce((sum, value, i) => sum + value * Math.cos(i), 0) - alongCosines),
    );
    if (parameter.endsWith("attention.self.key.bias")) {
      expect(error).toBeLessThan(1e-5); // mathematically zero: rounding noise
      continue;
    }
    worst = Math.max(worst, error / norm);
    expect(error / norm, parameter).toBeLessThan(1e-4);
  }
  printGolden(`dropout ${name}`, nll.length + views.size, worst);
});
