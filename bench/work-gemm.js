/** @file The measured peak of the machine: a product of square float32 matrices. */
import { OnnxSession } from "../dist/engine/onnx-session.js";
import { writeOnnx } from "../dist/graph/onnx/writer.js";
import { gemm } from "../dist/graph/ops/linear.js";
import { input } from "../dist/graph/ops/source.js";

export function prepare({ size }, { threads }) {
  const matrix = () => ({ data: new Float32Array(size * size).fill(0.5), shape: [size, size] });
  const feeds = { a: matrix(), b: matrix() };
  const fetches = { c: matrix() };
  const c = gemm(input("a", "float32", [size, size]), input("b", "float32", [size, size]));
  const session = OnnxSession.create(writeOnnx({ outputs: { c } }), { threads });
  return async () => {
    await (await session).run(feeds, fetches, []);
    return {};
  };
}
