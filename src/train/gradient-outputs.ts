/**
 * @file How gradients leave a graph: each is written into its place in a flat buffer; rows of
 * looked-up tables, which would cost the graph a copy of the table, are added there afterwards.
 */
import type { Value } from "../engine/onnx-session.js";
import { evaluateDim } from "../graph/dim.js";
import { withoutScatters } from "../graph/ops/indexing.js";
import type { Tensor } from "../graph/tensor.js";

/** Gradients as outputs of a graph, and what a run with them needs. */
export interface GradientOutputs {
  outputs: Readonly<Record<string, Tensor>>;
  /**
   * @param buffers where each gradient goes, float32, by parameter
   * @param dims the value of each symbolic dimension
   */
  forRun(
    buffers: Readonly<Record<string, Value>>,
    dims: ReadonlyMap<string, number>,
  ): {
    fetches: Record<string, Value>;
    /** Completes the gradients after the run. */
    finish(): void;
  };
}

/** @param gradients by the name of their parameter */
export function gradientOutputs(gradients: ReadonlyMap<string, Tensor>): GradientOutputs {
  const parts = [...gradients].map(([name, gradient]) => {
    const { base, rows } = withoutScatters(gradient);
    const named = rows.map(({ indices, updates }, i) => ({
      indices: { name: `grad.${name}.indices.${i}`, tensor: indices },
      updates: { name: `grad.${name}.rows.${i}`, tensor: updates },
    }));
    return { name, output: `grad.${name}`, base, rows: named };
  });
  const outputs: Record<string, Tensor> = {};
  for (const { output, base, rows } of parts) {
    if (base) outputs[output] = base;
    for (const { name, tensor } of rows.flatMap((row) => [row.indices, row.updates])) {
      outputs[name] = tensor;
    }
  }
  return {
    outputs,
    forRun(buffers, dims) {
      const fetches: Record<string, Value> = {};
      const allocate = <T extends Float32Array | Int32Array>(
        { name, tensor }: { name: string; tensor: Tensor },
        make: new (size: number) => T,
      ): T => {
        const shape = tensor.shape.map((dim) => evaluateDim(dim, dims));
        const data = new make(shape.reduce((size, dim) => size * dim, 1));
        fetches[name] = { data, shape };
        return data;
      };
      const additions = parts.flatMap(({ name, output, base, rows }) => {
        const buffer = buffers[name]!;
        const table = buffer.data as Float32Array;
        if (base) fetches[output] = buffer;
        else table.fill(0);
        return rows.map(({ indices, updates }) => ({
          table,
          indices: allocate(indices, Int32Array),
          updates: allocate(updates, Float32Array),
        }));
      });
      return { fetches, finish: () => additions.forEach(addRows) };
    },
  };
}

/** Adds updates [n, width] to the rows indices [n] of a table, in order. */
function addRows({
  table,
  indices,
  updates,
}: {
  table: Float32Array;
  indices: Int32Array;
  updates: Float32Array;
}): void {
  const width = updates.length / indices.length;
  indices.forEach((row, i) => {
    const to = row * width;
    const from = i * width;
    for (let column = 0; column < width; column++) table[to + column]! += updates[from + column]!;
  });
}
