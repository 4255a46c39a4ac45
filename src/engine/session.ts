/** @file A compiled graph, whichever engine runs it. */
import type { Initializer } from "../graph/onnx/writer.js";
import { writeOnnx } from "../graph/onnx/writer.js";
import type { Tensor } from "../graph/tensor.js";
import type { Device } from "./device.js";
import { COPIES_END, OnnxSession, type Value } from "./onnx-session.js";

export type Engine = "onnx" | "tfjs";

/** A graph and the parameters that it holds, by the name of their input. */
export interface ParametrisedGraph {
  outputs: Readonly<Record<string, Tensor>>;
  initializers?: ReadonlyMap<string, Initializer>;
}

export interface EngineOptions {
  /** Threads inside one operation. */
  threads: number;
  /** Default onnx. */
  engine?: Engine;
  /** Default cpu. */
  device?: Device;
}

/** A compiled graph. Dispose it when done: it holds native memory. */
export interface GraphSession {
  /** See OnnxSession.run. */
  run(
    feeds: Readonly<Record<string, Value>>,
    fetches: Readonly<Record<string, Value>>,
    outputs: readonly string[],
  ): Promise<Record<string, Float32Array>>;
  dispose(): Promise<void>;
}

/**
 * Compiles a graph. Its initializers are copied.
 * @throws DllmError 78 when the engine or the device cannot be used
 */
export async function compileGraph(
  { outputs, initializers }: ParametrisedGraph,
  { engine = "onnx", device = "cpu", threads }: EngineOptions,
): Promise<GraphSession> {
  if (engine === "tfjs") {
    // Only here, as its packages are optional and slow to load.
    const { createTfjsSession } = await import("./tfjs/session.js");
    return createTfjsSession({ outputs, ...(initializers && { initializers }) }, device);
  }
  const graph = { outputs, dialect: "onnxruntime", emptySequence: COPIES_END } as const;
  if (!initializers) return OnnxSession.create(writeOnnx(graph), { threads, device });
  const model = writeOnnx({ ...graph, initializers, external: true });
  return OnnxSession.create(model, { threads, device, external: initializers });
}
