/** @file Fresh parameters follow each family's rules (transformers' `_init_weights`). */
import { expect, test } from "vitest";
import { initialiseParameters, layOut, viewsOf } from "../../src/model/parameters.js";
import { modelFamilies, parseArchitecture } from "../../src/model/registry.js";
import type { ModelFamily } from "../../src/base/model-config.js";

const ids = { vocabSize: 800, padId: 7, bosId: 5, eosId: 6, clsId: undefined, sepId: undefined };
const size = { hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4 };

function fresh(family: ModelFamily, seed: number, positions: number) {
  const { family: definition, config } = parseArchitecture(
    modelFamilies[family].completeConfig({ ...size, max_position_embeddings: positions }, ids),
  );
  const layout = layOut(definition.parameters(config));
  return { layout, views: viewsOf(layout, initialiseParameters(layout, seed)) };
}

const moments = (values: Float32Array): { mean: number; std: number; largest: number } => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return {
    mean,
    std: Math.sqrt(variance),
    largest: values.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  };
};

/** Of a normal cut at two standard deviations: spec of truncated normals, sqrt(0.7737). */
const TRUNCATED = 0.8796;

test("modernbert: normals cut at two standard deviations, narrower towards the residual stream", () => {
  const { views } = fresh("modernbert", 1, 128);
  const inward = 0.02;
  const outward = 0.02 / Math.sqrt(2 * 2);
  for (const [name, std] of [
    ["model.embeddings.tok_embeddings.weight", inward],
    ["model.layers.1.attn.Wqkv.weight", inward],
    ["model.layers.0.mlp.Wi.weight", inward],
    ["model.layers.0.attn.Wo.weight", outward],
    ["model.layers.1.mlp.Wo.weight", outward],
    ["head.dense.weight", outward],
  ] as const) {
    const { mean, std: realised, largest } = moments(views.get(name)!);
    expect(Math.abs(mean) / std, name).toBeLessThan(0.05);
    expect(Math.abs(realised / (std * TRUNCATED) - 1), name).toBeLessThan(0.03);
    expect(largest, name).toBeLessThanOrEqual(2 * std);
    expect(largest, name).toBeGreaterThan(1.9 * std);
  }
  expect(new Set(views.get("model.layers.1.attn_norm.weight"))).toEqual(new Set([1]));
  expect(new Set(views.get("decoder.bias"))).toEqual(new Set([0]));
  // The padding row is not zeroed, unlike BERT's.
  expect(
    moments(views.get("model.embeddings.tok_embeddings.weight")!.subarray(7 * 64, 8 * 64)).std,
  ).toBeGreaterThan(0.01);
});

test.each(["bert", "roberta"] as const)(
  "%s: plain normals of 0.02, zero biases and padding rows",
  (family) => {
    const { layout, views } = fresh(family, 1, 200);
    for (const { spec } of layout.slots) {
      const values = views.get(spec.name)!;
      if (spec.name.endsWith("bias")) expect(new Set(values), spec.name).toEqual(new Set([0]));
      else if (/norm/i.test(spec.name)) expect(new Set(values), spec.name).toEqual(new Set([1]));
      else if (values.length > 4000) {
        const { mean, std, largest } = moments(values);
        expect(Math.abs(mean), spec.name).toBeLessThan(0.002);
        expect(Math.abs(std / 0.02 - 1), spec.name).toBeLessThan(0.05);
        expect(largest, spec.name).toBeGreaterThan(0.06); // beyond three standard deviations
      }
    }
    const words = views.get(`${family}.embeddings.word_embeddings.weight`)!;
    expect(new Set(words.subarray(7 * 64, 8 * 64))).toEqual(new Set([0]));
    const positions = views.get(`${family}.embeddings.position_embeddings.weight`)!;
    const zeroRows = Array.from({ length: 200 }, (_, row) => row).filter((row) =>
      positions.subarray(row * 64, (row + 1) * 64).every((value) => value === 0),
    );
    expect(zeroRows).toEqual(family === "roberta" ? [7] : []);
  },
);

test("equal seeds give equal bytes, other seeds other values", () => {
  const bytes = (seed: number): Buffer =>
    Buffer.concat(
      [...fresh("bert", seed, 64).views.values()].map((view) =>
        Buffer.from(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)),
      ),
    );
  expect(bytes(3).equals(bytes(3))).toBe(true);
  expect(bytes(3).equals(bytes(4))).toBe(false);
});
