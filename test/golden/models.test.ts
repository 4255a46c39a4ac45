/** @file Forward passes against Hugging Face transformers: tiny checkpoints and real widths. */
import { logitsOf } from "../../src/graph/ops/cross-entropy.js";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/base/json.js";
import { compileGraph } from "../../src/engine/session.js";
import { forwardInputs } from "../../src/model/graph-inputs.js";
import { createMaskedLm, inputFeeds, parametersByName } from "../../src/model/masked-lm.js";
import { readModel } from "../../src/model/model-directory.js";
import { layOut, viewsOf } from "../../src/model/parameters.js";
import { modelFamilies, parseArchitecture } from "../../src/model/registry.js";
import { readSafetensors, toFloat32 } from "../../src/model/safetensors.js";
import { testEngine } from "../support/engine.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

const golden = goldenDirectory();

interface Case {
  attention_mask: number[][] | null;
}

interface TinyCase extends Case {
  input_ids: number[][];
  argmax: number[][];
  min_top1_top2_gap: number;
}

interface WideCase extends Case {
  "logits[row][position][column]": number[][][];
  "logsumexp[row][position]": number[][];
  "argmax[row][position]": number[][];
  min_gap: number;
  sum: number;
  sum_sq: number;
}

interface WideFile {
  config: JsonObject;
  parameters: { name: string; shape: number[]; salt: number; scale: number; offset: number }[];
  input_ids: number[][];
  positions: number[];
  vocab_columns: number[];
  cases: Record<string, WideCase>;
}

function batchOf(rows: number[][], mask: number[][] | null) {
  const batch = rows.length;
  const seq = rows[0]!.length;
  return {
    inputIds: Int32Array.from(rows.flat()),
    batch,
    seq,
    ...(mask && { attentionMask: Uint8Array.from(mask.flat()) }),
    positions: Int32Array.from({ length: batch * seq }, (_, i) => i),
  };
}

function worstDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0);
}

function argmax(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}

/** The fill formula of golden/models/README.md. */
function fillByFormula(target: Float32Array, salt: number, scale: number, offset: number): void {
  const shift = Math.imul(salt, 0x9e3779b1) >>> 0;
  for (let i = 0; i < target.length; i++) {
    let h = (i + shift) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h = (h ^ (h >>> 16)) >>> 0;
    target[i] = offset + scale * (h / 4294967296 - 0.5);
  }
}

describe.skipIf(!golden).each(Object.keys(modelFamilies))("%s forward", (family) => {
  test("logits and hidden states of the tiny checkpoint", async () => {
    const directory = join(golden!, "models", family);
    const { architecture, parameters } = await readModel(directory);
    const { cases } = JSON.parse(readFileSync(join(directory, "cases.json"), "utf8")) as {
      cases: Record<string, TinyCase>;
    };
    const { tensors } = await readSafetensors(join(directory, "expected.safetensors"));
    let worst = 0;
    let compared = 0;
    for (const [name, item] of Object.entries(cases)) {
      const inputs = forwardInputs(architecture, {
        withAttentionMask: item.attention_mask !== null,
      });
      const { decoder, hiddenStates } = architecture.family.forward(architecture.config, inputs);
      const hidden = Object.fromEntries(hiddenStates.map((tensor, k) => [`hidden.${k}`, tensor]));
      const session = await compileGraph(
        { outputs: { logits: logitsOf(decoder), ...hidden } },
        testEngine,
      );
      const results = await session.run(
        {
          ...Object.fromEntries(parametersByName(architecture, parameters)),
          ...inputFeeds(batchOf(item.input_ids, item.attention_mask)),
        },
        {},
        ["logits", ...Object.keys(hidden)],
      );
      await session.dispose();
      for (const [output, values] of Object.entries(results)) {
        const expected = tensors.get(`${name}.${output}`);
        if (expected === undefined) continue; // hidden states are stored for two cases only
        const difference = worstDifference(values, toFloat32(expected));
        worst = Math.max(worst, difference);
        compared++;
        // Tolerance of golden/models/README.md; the reference's own float32 error is 2e-5.
        expect(difference, `${name} ${output}`).toBeLessThan(1e-4);
      }
      const vocab = architecture.config.vocabSize;
      if (item.min_top1_top2_gap > 1e-3) {
        item.argmax.flat().forEach((expected, i) => {
          const row = results["logits"]!.subarray(i * vocab, (i + 1) * vocab);
          expect(argmax(row), `${name} argmax ${i}`).toBe(expected);
        });
      }
    }
    expect(compared).toBeGreaterThan(10);
    printGolden(`models ${family}`, compared, worst);
  });

  test("logits at real width, formula-filled weights", async () => {
    const text = readFileSync(join(golden!, "models", `wide_${family}.json`), "utf8");
    const wide = JSON.parse(text) as WideFile;
    const architecture = parseArchitecture(wide.config);
    const layout = layOut(architecture.family.parameters(architecture.config));
    const flat = new Float32Array(layout.size);
    const views = viewsOf(layout, flat);
    for (const { name, salt, scale, offset } of wide.parameters) {
      expect([...views.keys()]).toContain(name);
      fillByFormula(views.get(name)!, salt, scale, offset);
    }
    expect(wide.parameters.length).toBe(layout.slots.length);
    const model = await createMaskedLm(architecture, flat, { threads: 2 });
    const vocab = model.vocabSize;
    let worst = 0;
    for (const [name, item] of Object.entries(wide.cases)) {
      const input = batchOf(wide.input_ids, item.attention_mask);
      const logits = await model.logits(input);
      const rowAt = (row: number, position: number): Float32Array => {
        const start = (row * input.seq + position) * vocab;
        return logits.subarray(start, start + vocab);
      };
      let sum = 0;
      let sumOfSquares = 0;
      for (const value of logits) {
        sum += value;
        sumOfSquares += value * value;
      }
      const scale = Math.sqrt(logits.length * item.sum_sq);
      expect(Math.abs(sum - item.sum) / scale).toBeLessThan(1e-5);
      expect(Math.abs(sumOfSquares / item.sum_sq - 1)).toBeLessThan(1e-5);
      for (let row = 0; row < input.batch; row++) {
        wide.positions.forEach((position, i) => {
          wide.vocab_columns.forEach((column, j) => {
            const expected = item["logits[row][position][column]"][row]![i]![j]!;
            worst = Math.max(worst, Math.abs(rowAt(row, position)[column]! - expected));
          });
        });
        for (let position = 0; position < input.seq; position++) {
          const values = rowAt(row, position);
          const best = argmax(values);
          if (item.min_gap > 1e-3) expect(best).toBe(item["argmax[row][position]"][row]![position]);
          const peak = values[best]!;
          const total = values.reduce((partial, value) => partial + Math.exp(value - peak), 0);
          const expected = item["logsumexp[row][position]"][row]![position]!;
          worst = Math.max(worst, Math.abs(peak + Math.log(total) - expected));
        }
      }
      expect(worst, name).toBeLessThan(2e-4);
    }
    await model.dispose();
    printGolden(`models ${family}, real width`, Object.keys(wide.cases).length, worst);
  });
});
