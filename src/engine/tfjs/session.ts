/** @file Interprets a graph of the tensor IR on TensorFlow.js, node by node. */
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core";
import { evaluateDim, type Dim } from "../../graph/dim.js";
import type { Initializer } from "../../graph/onnx/writer.js";
import { inputOp, type InputAttributes } from "../../graph/ops/source.js";
import { nodesOf, type Node, type OpDefinition, type Tensor } from "../../graph/tensor.js";
import type { Device } from "../device.js";
import type { Buffer1D } from "../onnx-session.js";
import type { GraphSession } from "../session.js";
import { loadTfjs, type Tfjs } from "./backend.js";
import { kernels, tfType } from "./kernels.js";

type Outputs = Readonly<Record<string, Tensor>>;

const isInput = (node: Node): boolean => node.op === (inputOp as OpDefinition);
const inputOf = (node: Node): InputAttributes => node.attributes as InputAttributes;

/**
 * Returns a session over the fastest TensorFlow.js that is installed.
 * @throws DllmError 78 when none is, or the GPU asked for is not used
 * @throws TypeError for an operation or a dtype that it does not know
 */
export async function createTfjsSession(
  {
    outputs,
    initializers,
  }: {
    outputs: Outputs;
    initializers: ReadonlyMap<string, Initializer>;
  },
  device: Device,
): Promise<GraphSession> {
  const nodes = nodesOf(Object.values(outputs));
  const unknown = nodes.find((node) => !isInput(node) && !Object.hasOwn(kernels, node.op.name));
  if (unknown) throw new TypeError(`engine tfjs does not know the operation ${unknown.op.name}`);
  const { tf } = await loadTfjs(device);
  const constants = new Map(
    nodes.filter(isInput).flatMap((node) => {
      const { name, dtype } = inputOf(node);
      const value = initializers.get(name);
      return value ? [[name, toTf(tf, value, tfType(dtype))] as const] : [];
    }),
  );
  const uses = countUses(nodes, outputs);

  return {
    async run(feeds, fetches, wanted) {
      const names = [...Object.keys(fetches), ...wanted];
      const results = tf.tidy(() => {
        const inputs = new Map(constants);
        for (const node of nodes.filter(isInput)) {
          const { name, dtype } = inputOf(node);
          if (!constants.has(name)) inputs.set(name, toTf(tf, feeds[name]!, tfType(dtype)));
        }
        return interpret(tf, { nodes, outputs, uses, inputs, names });
      });
      const data = await Promise.all(results.map((tensor) => tensor.data()));
      tf.dispose(results);
      Object.values(fetches).forEach(({ data: target }, i) => {
        (target as Float32Array).set(data[i]!);
      });
      const fresh = data.slice(Object.keys(fetches).length) as Float32Array[];
      return Object.fromEntries(wanted.map((name, i) => [name, fresh[i]!]));
    },
    dispose() {
      tf.dispose([...constants.values()]);
      return Promise.resolve();
    },
  };
}

function toTf(
  tf: Tfjs,
  { data, shape }: { data: Buffer1D | Int8Array; shape: readonly number[] },
  dtype: "float32" | "int32" | "bool",
): TfTensor {
  return tf.tensor(data as Float32Array, [...shape], dtype);
}

/** How often each tensor is read, the graph's own outputs once more. */
function countUses(nodes: readonly Node[], outputs: Outputs) {
  const uses = new Map<Tensor, number>();
  for (const tensor of [...nodes.flatMap(({ inputs }) => inputs), ...Object.values(outputs)]) {
    uses.set(tensor, (uses.get(tensor) ?? 0) + 1);
  }
  return uses;
}

/** Computes the nodes in order, dropping each tensor after its last use. */
function interpret(
  tf: Tfjs,
  {
    nodes,
    outputs,
    uses,
    inputs,
    names,
  }: {
    nodes: readonly Node[];
    outputs: Outputs;
    uses: ReadonlyMap<Tensor, number>;
    inputs: ReadonlyMap<string, TfTensor>;
    names: readonly string[];
  },
): TfTensor[] {
  const symbols = new Map<string, number>();
  for (const node of nodes.filter(isInput)) {
    const { name, shape } = inputOf(node);
    shape.forEach((dim, axis) => {
      if (typeof dim === "string") symbols.set(dim, inputs.get(name)!.shape[axis]!);
    });
  }
  const dim = (value: Dim): number => evaluateDim(value, symbols);

  const values = new Map<Tensor, TfTensor>();
  const left = new Map(uses);
  for (const node of nodes) {
    if (isInput(node)) {
      values.set(node.outputs[0]!, inputs.get(inputOf(node).name)!);
      continue;
    }
    const given = node.inputs.map((tensor) => values.get(tensor)!);
    const results = [kernels[node.op.name]!({ tf, node, dim }, given)].flat();
    node.outputs.forEach((output, i) => {
      if (uses.has(output)) values.set(output, results[i]!);
      else results[i]?.dispose();
    });
    for (const tensor of node.inputs) {
      const rest = left.get(tensor)! - 1;
      left.set(tensor, rest);
      if (rest === 0 && !isInput(tensor.node)) values.get(tensor)!.dispose();
    }
  }
  // A copy, as an output may be an input, or two outputs one tensor.
  return names.map((name) => tf.clone(values.get(outputs[name]!)!));
}
