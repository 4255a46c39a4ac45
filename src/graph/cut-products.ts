/**
 * @file Products whose result is cut into columns, as ModernBERT cuts those of Wqkv and Wi, become a
 * product for each piece: the rows of the parameter that make it lie in one piece of memory, while
 * cutting the result, and joining its gradients, moves them all. A few per cent of a training step.
 */
import { gemm, gemmOp, type ProductAttributes } from "./ops/linear.js";
import { splitOp, type SplitAttributes } from "./ops/shape.js";
import { input, inputOp, type InputAttributes } from "./ops/source.js";
import { rewrite } from "./rewrite.js";
import { nodesOf, type OpDefinition, type Tensor } from "./tensor.js";

/** Rows [start, end) of a parameter, as an input of its own. */
export interface RowRange {
  parameter: string;
  start: number;
  end: number;
  tensor: Tensor;
}

export interface CutGraph {
  outputs: Record<string, Tensor>;
  /** The new inputs by name; a parameter that has any is no input any more. */
  ranges: ReadonlyMap<string, RowRange>;
}

/** Returns a graph that computes the same without cutting results of products with a parameter. */
export function cutProducts(outputs: Readonly<Record<string, Tensor>>): CutGraph {
  const uses = countUses(outputs);
  const ranges = new Map<string, RowRange>();
  const rewritten = rewrite(outputs, (node, [whole]) => {
    if (node.op !== (splitOp as OpDefinition) || uses.get(node.inputs[0]!) !== 1) return undefined;
    const { axis, sizes } = node.attributes as SplitAttributes;
    const [x, weight] = whole!.node.inputs;
    if (axis !== 1 || whole!.node.op !== (gemmOp as OpDefinition)) return undefined;
    const { transposeA, transposeB } = whole!.node.attributes as ProductAttributes;
    if (transposeA || !transposeB) return undefined;
    if (weight!.node.op !== (inputOp as OpDefinition) || uses.get(weight!) !== 1) return undefined;
    const { name: parameter, shape } = weight!.node.attributes as InputAttributes;
    let end = 0;
    return sizes.map((rows) => {
      const start = end;
      end += rows;
      const name = `${parameter}[${start}:${end}]`;
      const tensor = input(name, "float32", [rows, ...shape.slice(1)]);
      ranges.set(name, { parameter, start, end, tensor });
      return gemm(x!, tensor, { transposeB: true });
    });
  });
  return { outputs: rewritten, ranges };
}

function countUses(outputs: Readonly<Record<string, Tensor>>): ReadonlyMap<Tensor, number> {
  const uses = new Map<Tensor, number>();
  const results = Object.values(outputs);
  for (const tensor of [...results, ...nodesOf(results).flatMap(({ inputs }) => inputs)]) {
    uses.set(tensor, (uses.get(tensor) ?? 0) + 1);
  }
  return uses;
}

/** Returns a map of all parameters as one of a cut graph's inputs: rows in the place of what is cut. */
export function cutMap<Value>(
  wholes: ReadonlyMap<string, Value>,
  { ranges }: Pick<CutGraph, "ranges">,
  rowsOf: (range: RowRange, whole: Value) => Value,
): Map<string, Value> {
  const cut = new Map(wholes);
  for (const [name, range] of ranges) {
    cut.delete(range.parameter);
    cut.set(name, rowsOf(range, wholes.get(range.parameter)!));
  }
  return cut;
}

interface Values {
  shape: readonly number[];
  data: Float32Array;
}

/** Returns the values of a cut graph's inputs; rows are views of the whole parameter. */
export function cutValues(
  wholes: ReadonlyMap<string, Values>,
  graph: Pick<CutGraph, "ranges">,
): Map<string, Values> {
  return cutMap(wholes, graph, ({ start, end }, { shape, data }) => {
    const rows = rowRange(shape, start, end);
    return { shape: rows.shape, data: data.subarray(rows.first, rows.first + rows.length) };
  });
}

/** The shape of rows [start, end) of a tensor, and which of its elements they are. */
export function rowRange(
  [, ...row]: readonly number[],
  start: number,
  end: number,
): { shape: readonly number[]; first: number; length: number } {
  const width = row.reduce((product, dim) => product * dim, 1);
  return { shape: [end - start, ...row], first: start * width, length: (end - start) * width };
}
