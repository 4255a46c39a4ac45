/**
 * @file Dimensions of the tensor IR: a number, or a product of named symbols with a factor,
 * written canonically (`batch`, `batch*seq`, `2*batch*seq`), so that equal dimensions are
 * equal strings.
 */
import { ShapeError } from "../base/errors.js";

export type Dim = number | string;
export type Shape = readonly Dim[];

interface Product {
  factor: number;
  symbols: string[];
}

function parse(dim: Dim): Product {
  if (typeof dim === "number") return { factor: dim, symbols: [] };
  const parts = dim.split("*");
  const factor = /^\d+$/.test(parts[0]!) ? Number(parts.shift()) : 1;
  return { factor, symbols: parts };
}

function print({ factor, symbols }: Product): Dim {
  if (symbols.length === 0 || factor === 0) return factor;
  const text = [...symbols].sort().join("*");
  return factor === 1 ? text : `${factor}*${text}`;
}

/** Returns the product of dimensions. */
export function multiplyDims(...dims: Dim[]): Dim {
  return print(
    dims.map(parse).reduce(
      (product, { factor, symbols }) => ({
        factor: product.factor * factor,
        symbols: [...product.symbols, ...symbols],
      }),
      { factor: 1, symbols: [] },
    ),
  );
}

/** Returns the factor and the symbols of a dimension: `2*batch*seq` gives 2 and [batch, seq]. */
export function factorDim(dim: Dim): { factor: number; symbols: readonly string[] } {
  return parse(dim);
}

/** Returns the value of a dimension, given those of its symbols. */
export function evaluateDim(dim: Dim, values: ReadonlyMap<string, number>): number {
  const { factor, symbols } = parse(dim);
  return symbols.reduce((size, symbol) => size * values.get(symbol)!, factor);
}

/** Returns the shape of an elementwise operation on two shapes (NumPy broadcasting). */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new ShapeError(`cannot broadcast [${a.join(", ")}] with [${b.join(", ")}]`);
  });
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** The number of elements of a shape. */
export function sizeOf(shape: Shape): Dim {
  return multiplyDims(1, ...shape);
}
