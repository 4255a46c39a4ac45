/** @file The measured peak of the machine: a product of square float32 matrices, one laid out for it. */
import { compileGraph } from "../dist/engine/session.js";
import { gemm } from "../dist/graph/ops/linear.js";
import { input } from "../dist/graph/ops/source.js";

export function prepare({ size }, { threads }) {
  const shape = [size, size];
  const matrix = () => ({ data: new Float32Array(size * size).fill(0.5), shape });
  const [x, weight] = ["x", "weight"].map((name) => input(name, "float32", shape));
  const graph = {
    outputs: { product: gemm(x, weight, { transposeB: true }) },
    initializers: new Map([["weight", matrix()]]),
  };
  const feeds = { x: matrix() };
  const fetches = { product: matrix() };
  const session = compileGraph(graph, { threads });
  return async () => {
    await (await session).run(feeds, fetches, []);
    return {};
  };
}
