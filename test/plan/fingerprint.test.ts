import { expect, test } from "vitest";
import type { Json, JsonObject } from "../../src/base/json.js";
import { randomStream, type RandomStream } from "../../src/base/random.js";
import { fingerprint } from "../../src/plan/fingerprint.js";

function randomJson(stream: RandomStream, depth: number): Json {
  const kind = stream.below(depth === 0 ? 4 : 6);
  if (kind === 0) return null;
  if (kind === 1) return stream.below(2) === 1;
  if (kind === 2) return stream.normal();
  if (kind === 3) return String.fromCodePoint(0x61 + stream.below(2000));
  if (kind === 4)
    return Array.from({ length: stream.below(4) }, () => randomJson(stream, depth - 1));
  return randomObject(stream, depth - 1);
}

function randomObject(stream: RandomStream, depth: number): JsonObject {
  const keys = Array.from({ length: 1 + stream.below(5) }, () => `k${stream.below(50)}`);
  return Object.fromEntries(keys.map((key) => [key, randomJson(stream, depth)]));
}

/** The same value with all keys in another order. */
function reversed(value: Json): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversed(item as Json)]),
  );
}

/** Changes one leaf of an object, in place of a copy. */
function changed(value: JsonObject, stream: RandomStream): JsonObject {
  const keys = Object.keys(value);
  const key = keys[stream.below(keys.length)]!;
  const item = value[key]!;
  const next =
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? changed(item as JsonObject, stream)
      : { changedFrom: item };
  return { ...value, [key]: next };
}

test("fingerprints ignore the order of keys and notice every change", () => {
  const stream = randomStream({ seed: 1, purpose: "order" });
  for (let round = 0; round < 200; round++) {
    const params = randomObject(stream, 3);
    const inputs = { data: "a".repeat(64), model: "b".repeat(64) };
    const original = fingerprint({ kind: "sft", params, inputs });
    expect(original).toMatch(/^[0-9a-f]{64}$/);
    const other = { model: inputs.model, data: inputs.data };
    expect(
      fingerprint({ kind: "sft", params: reversed(params) as JsonObject, inputs: other }),
    ).toBe(original);
    expect(fingerprint({ kind: "sft", params: changed(params, stream), inputs })).not.toBe(
      original,
    );
    expect(fingerprint({ kind: "pretrain", params, inputs })).not.toBe(original);
    expect(
      fingerprint({ kind: "sft", params, inputs: { ...inputs, data: "c".repeat(64) } }),
    ).not.toBe(original);
  }
});

test("where a dataset lies says nothing about what it is; how it is named in the project does", () => {
  const of = (name: string) =>
    fingerprint({ kind: "prepare", params: { sources: [{ name, files: [] }] }, inputs: {} });
  expect(of("/home/ann/data/chat")).toBe(of("/mnt/b/chat"));
  expect(of("data/chat")).not.toBe(of("data/talk"));
});

test("when checkpoints are written does not change what is computed", () => {
  const of = (train: JsonObject) => fingerprint({ kind: "sft", params: { train }, inputs: {} });
  expect(of({ learning_rate: 1, save_steps: 10, save_total_limit: 2 })).toBe(
    of({ learning_rate: 1, save_steps: 0.1, save_total_limit: 5 }),
  );
  expect(of({ learning_rate: 1, logging_steps: 10 })).not.toBe(
    of({ learning_rate: 1, logging_steps: 20 }),
  );
});

test.each([
  ["undefined", { a: undefined }],
  ["NaN", { a: NaN }],
  ["a date", { a: new Date(0) }],
])("a fingerprint of %s throws", (_, params) => {
  expect(() =>
    fingerprint({ kind: "sft", params: params as unknown as JsonObject, inputs: {} }),
  ).toThrow(TypeError);
});
