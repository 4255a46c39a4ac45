/** @file A compiled graph, whichever engine runs it. */
import { writeOnnx } from "../graph/onnx/writer.js";
import type { Tensor } from "../graph/tensor.js";
import type { Device } from "./device.js";
import { COPIES_END, OnnxSession, type Value } from "./onnx-session.js";
import { holdAll, mappedFiles, type ParameterValues } from "./stored-values.js";

export type Engine = "onnx" | "tfjs";

/** A graph and the parameters that it holds, by the name of their input. */
export interface ParametrisedGraph {
  outputs: Readonly<Record<string, Tensor>>;
  initializers?: ReadonlyMap<string, ParameterValues>;
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
 * Compiles a graph. Its initializers are copied, or mapped where all of them lie in files: such a
 * file may be replaced or removed then, but not written into.
 * @throws DllmError 78 when the engine or the device cannot be used
 */
export async function compileGraph(
  { outputs, initializers = new Map() }: ParametrisedGraph,
  { engine = "onnx", device = "cpu", threads }: EngineOptions,
): Promise<GraphSession> {
  if (engine === "tfjs") {
    // Only here, as its packages are optional and slow to load.
    const { createTfjsSession } = await import("./tfjs/session.js");
    return createTfjsSession({ outputs, initializers: await holdAll(initializers) }, device);
  }
  const graph = { outputs, dialect: "onnxruntime", emptySequence: COPIES_END } as const;
  if (initializers.size === 0) return OnnxSession.create(writeOnnx(graph), { threads, device });
  const files = mappedFiles(initializers);
  if (files) {
    const model = writeOnnx({ ...graph, initializers: files.initializers });
    return OnnxSession.create(model, { threads, device, externalFolder: files.folder });
  }
  const external = await holdAll(initializers);
  const model = writeOnnx({ ...graph, initializers: external, external: true });
  return OnnxSession.create(model, { threads, device, external });
}
