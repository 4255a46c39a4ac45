/**
 * @file Runs a graph on ONNX Runtime. Parameters are fed as inputs, not stored in the model:
 * no 2 GB limit, no copy, and the optimizer may update them in place between runs.
 */
import * as ort from "onnxruntime-node";
import { DllmError, ExitCode, ShapeError, errorMessage } from "../base/errors.js";
import { executionProviders, type Device } from "./device.js";

/**
 * Name of an output that is no tensor, first in a model whose outputs are not to be copied.
 * The binding (onnxruntime-node 1.30) copies each output into a new array, even one that was
 * computed in a given buffer, after everything is computed and in the order of the model; at what
 * is no tensor it gives up. Asked for with the others, this output spares the copies: of a training
 * step's gradients they take a tenth to a quarter of the time and the memory of another gradient.
 * microsoft/onnxruntime#32346 is to make it needless.
 */
export const COPIES_END = "copies_end";
const GIVES_UP = "Non tensor type is temporarily not supported.";

export interface SessionOptions {
  /** Threads inside one operation. */
  threads: number;
  /** Default cpu. */
  device?: Device;
  /** External data of the model by location. It is copied: the buffers may be dropped or changed. */
  external?: ReadonlyMap<string, { data: ArrayBufferView }>;
  /** Where the locations of external data begin that are files; they are mapped, not copied. */
  externalFolder?: string;
}

/** A tensor that is fed or fetched; `data` is used in place, never copied. Bytes are bool, 0 or 1. */
export type Buffer1D = Float32Array | Int32Array | BigInt64Array | Uint8Array;
export interface Value {
  data: Buffer1D;
  shape: readonly number[];
}

function toOrt({ data, shape }: Value): ort.Tensor {
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (size !== data.length) {
    throw new ShapeError(`tensor of shape [${shape.join(", ")}] has ${data.length} elements`);
  }
  if (data instanceof Float32Array) return new ort.Tensor("float32", data, shape);
  if (data instanceof Int32Array) return new ort.Tensor("int32", data, shape);
  if (data instanceof Uint8Array) return new ort.Tensor("bool", data, shape);
  return new ort.Tensor("int64", data, shape);
}

function externalFiles(external: NonNullable<SessionOptions["external"]>) {
  return [...external].map(([path, { data }]) => ({
    path,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
}

/** A compiled graph. Dispose it when done: it holds native memory. */
export class OnnxSession {
  private constructor(private readonly session: ort.InferenceSession) {}

  /**
   * Compiles a model.
   * @throws DllmError 78 when ONNX Runtime refuses it
   */
  static async create(
    model: Uint8Array | string,
    { threads, device = "cpu", external, externalFolder }: SessionOptions,
  ): Promise<OnnxSession> {
    const options: ort.InferenceSession.SessionOptions = {
      executionProviders: executionProviders(device, model),
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
      // Measured: planning reuse patterns per shape raises peak memory by half here.
      enableMemPattern: false,
      logSeverityLevel: 3,
      ...(external && { externalData: externalFiles(external) }),
      extra: {
        // It would keep for the gradient what the gradient computes again to save memory.
        optimization: { disable_specified_optimizers: "CommonSubexpressionElimination" },
        ...(externalFolder !== undefined && {
          session: { model_external_initializers_file_folder_path: externalFolder },
        }),
      },
    };
    try {
      // The cast picks one of two overloads that do the same for a path and for bytes.
      return new OnnxSession(await ort.InferenceSession.create(model as string, options));
    } catch (error) {
      const where = device === "cpu" ? "" : ` for ${device}`;
      throw new DllmError(`ONNX Runtime cannot compile the model${where}: ${errorMessage(error)}`, {
        exitCode: ExitCode.environment,
        ...(device !== "cpu" && { details: ["`dllm doctor` shows which devices can be used"] }),
        cause: error,
      });
    }
  }

  /**
   * Runs the graph once.
   * @param feeds every input by name
   * @param fetches outputs that are written into given buffers; shapes must match exactly
   * @param outputs further outputs to return in fresh buffers; without any, nothing is copied
   */
  async run(
    feeds: Readonly<Record<string, Value>>,
    fetches: Readonly<Record<string, Value>>,
    outputs: readonly string[],
  ): Promise<Record<string, Float32Array>> {
    const targets: Record<string, ort.Tensor | null> = {};
    for (const name of outputs) targets[name] = null;
    for (const [name, value] of Object.entries(fetches)) targets[name] = toOrt(value);
    const feedTensors = Object.fromEntries(
      Object.entries(feeds).map(([name, value]) => [name, toOrt(value)]),
    );
    const isInPlace = outputs.length === 0 && this.session.outputNames.includes(COPIES_END);
    if (isInPlace) targets[COPIES_END] = null;
    let results: Record<string, ort.Tensor>;
    try {
      results = await this.session.run(feedTensors, targets);
    } catch (error) {
      if (isInPlace && errorMessage(error) === GIVES_UP) return {};
      throw error;
    }
    return Object.fromEntries(outputs.map((name) => [name, results[name]!.data as Float32Array]));
  }

  async dispose(): Promise<void> {
    await this.session.release();
  }
}
