/**
 * @file What an operation uses to write itself as ONNX nodes: fresh names, constants, and the
 * runtime values of symbolic dimensions.
 */
import type { Dim, Shape } from "../dim.js";
import { factorDim } from "../dim.js";
import type { DType } from "../tensor.js";
import { Message } from "./protobuf.js";

export interface TensorLiteral {
  dtype: DType;
  shape: readonly number[];
  values: readonly number[];
}

export type Attribute =
  | { int: number }
  | { float: number }
  | { string: string }
  | { ints: readonly number[] }
  | { tensor: TensorLiteral };

/** ONNX's own operators, for files that anything may read, or those of ONNX Runtime too. */
export type OnnxDialect = "standard" | "onnxruntime";

/** onnx.TensorProto.DataType */
export const onnxDataType = {
  float32: 1,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
} satisfies Record<DType, number>;

function literalBytes({ dtype, values }: TensorLiteral): Uint8Array {
  switch (dtype) {
    case "float32":
      return new Uint8Array(Float32Array.from(values).buffer);
    case "int8":
      return new Uint8Array(Int8Array.from(values).buffer);
    case "int32":
      return new Uint8Array(Int32Array.from(values).buffer);
    case "int64":
      return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    case "bool":
      return Uint8Array.from(values);
  }
}

/** Where external data lies: all of a location, or bytes of it. */
interface ExternalPlace {
  location: string;
  offset?: number;
  length?: number;
}

/** onnx.TensorProto of raw little-endian bytes, or of external data. */
export function tensorMessage(
  name: string,
  dtype: DType,
  shape: readonly number[],
  bytes: Uint8Array | ExternalPlace,
): Message {
  const message = new Message();
  for (const dim of shape) message.int(1, dim);
  message.int(2, onnxDataType[dtype]).bytes(8, name);
  if (bytes instanceof Uint8Array) return message.bytes(9, bytes);
  for (const [key, value] of Object.entries(bytes)) {
    message.message(13, new Message().bytes(1, key).bytes(2, String(value)));
  }
  return message.int(14, 1);
}

function attributeMessage(name: string, value: Attribute): Message {
  const message = new Message().bytes(1, name);
  if ("int" in value) return message.int(3, value.int).int(20, 2);
  if ("float" in value) return message.float(2, value.float).int(20, 1);
  if ("string" in value) return message.bytes(4, value.string).int(20, 3);
  if ("ints" in value) {
    for (const item of value.ints) message.int(8, item);
    return message.int(20, 7);
  }
  const { dtype, shape } = value.tensor;
  return message.message(5, tensorMessage("", dtype, shape, literalBytes(value.tensor))).int(20, 4);
}

/** Collects the nodes and constants of one ONNX graph. */
export class OnnxEmitter {
  readonly nodes: Message[] = [];
  readonly initializers: Message[] = [];
  /** Operator sets beside ONNX's own that the nodes use. */
  readonly domains = new Set<string>();
  private readonly constants = new Map<string, string>();
  private readonly dimValues = new Map<Dim, string>();
  private counter = 0;

  /**
   * @param symbolSources symbol to the graph input and axis that carry its value
   * @param dialect which operators the nodes may use
   */
  constructor(
    private readonly symbolSources: ReadonlyMap<string, { input: string; axis: number }>,
    readonly dialect: OnnxDialect,
  ) {}

  fresh(hint: string): string {
    return `${hint}_${this.counter++}`;
  }

  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = "",
  ): void {
    const message = new Message();
    for (const name of inputs) message.bytes(1, name);
    for (const name of outputs) message.bytes(2, name);
    message.bytes(3, `${type}_${this.nodes.length}`).bytes(4, type);
    for (const [name, value] of Object.entries(attributes)) {
      message.message(5, attributeMessage(name, value));
    }
    if (domain !== "") {
      message.bytes(7, domain);
      this.domains.add(domain);
    }
    this.nodes.push(message);
  }

  /** Emits a node with one output of a fresh name, which is returned. */
  apply(type: string, inputs: readonly string[]): string {
    const output = this.fresh(type.toLowerCase());
    this.node(type, inputs, [output]);
    return output;
  }

  /** Returns the name of a constant; equal constants are stored once. */
  constant(dtype: DType, shape: readonly number[], values: readonly number[]): string {
    const key = `${dtype}[${shape.join()}]${values.join()}`;
    let name = this.constants.get(key);
    if (name === undefined) {
      name = this.fresh("const");
      this.constants.set(key, name);
      const bytes = literalBytes({ dtype, shape, values });
      this.initializers.push(tensorMessage(name, dtype, shape, bytes));
    }
    return name;
  }

  /** Returns the name of an int64 [rank] tensor with the runtime value of a shape. */
  shapeTensor(shape: Shape): string {
    if (shape.every((dim) => typeof dim === "number")) {
      return this.constant("int64", [shape.length], shape);
    }
    const values = shape.map((dim) => this.dimValue(dim));
    if (values.length === 1) return values[0]!;
    const output = this.fresh("shape");
    this.node("Concat", values, [output], { axis: { int: 0 } });
    return output;
  }

  private dimValue(dim: Dim): string {
    if (typeof dim === "number") return this.constant("int64", [1], [dim]);
    let name = this.dimValues.get(dim);
    if (name === undefined) {
      const { factor, symbols } = factorDim(dim);
      const factors = symbols.map((symbol) => this.symbolValue(symbol));
      if (factor !== 1) factors.push(this.constant("int64", [1], [factor]));
      name = factors.reduce((product, value) => this.apply("Mul", [product, value]));
      this.dimValues.set(dim, name);
    }
    return name;
  }

  private symbolValue(symbol: string): string {
    const source = this.symbolSources.get(symbol);
    if (source === undefined) throw new TypeError(`no graph input has the dimension ${symbol}`);
    const output = this.fresh(symbol);
    this.node("Shape", [source.input], [output], {
      start: { int: source.axis },
      end: { int: source.axis + 1 },
    });
    return output;
  }
}
