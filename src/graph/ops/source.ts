/** @file Tensors that come from outside a graph: inputs (data and parameters) and constants. */
import type { Dim, Shape } from "../dim.js";
import type { DType, OpDefinition, Tensor } from "../tensor.js";
import { onnxDataType } from "../onnx/emitter.js";
import { applySingle } from "../tensor.js";

export interface InputAttributes {
  name: string;
  dtype: DType;
  shape: Shape;
}

export const inputOp: OpDefinition<InputAttributes> = {
  name: "input",
  infer: (_, { dtype, shape }) => [{ dtype, shape }],
  onnx: () => undefined, // declared by the writer
};

/** A named graph input; parameters are inputs too. */
export function input(name: string, dtype: DType, shape: Shape): Tensor {
  return applySingle(inputOp, [], { name, dtype, shape });
}

interface ConstantAttributes {
  dtype: DType;
  shape: readonly number[];
  values: readonly number[];
}

const constantOp: OpDefinition<ConstantAttributes> = {
  name: "constant",
  infer: (_, { dtype, shape }) => [{ dtype, shape }],
  onnx: (emitter, _node, _inputs, [output], { dtype, shape, values }) => {
    emitter.node("Identity", [emitter.constant(dtype, shape, values)], [output!]);
  },
};

/** A small constant. */
export function constant(
  values: readonly number[],
  shape: readonly number[],
  dtype: DType = "float32",
): Tensor {
  return applySingle(constantOp, [], { dtype, shape, values });
}

/** A float32 constant of shape [], broadcast by elementwise operations. */
export function scalar(value: number): Tensor {
  return constant([value], []);
}

interface FilledAttributes {
  shape: Shape;
  value: number;
}

const filledOp: OpDefinition<FilledAttributes> = {
  name: "filled",
  infer: (_, { shape }) => [{ dtype: "float32", shape }],
  onnx: (emitter, _node, _inputs, [output], { shape, value }) => {
    emitter.node("ConstantOfShape", [emitter.shapeTensor(shape)], [output!], {
      value: { tensor: { dtype: "float32", shape: [1], values: [value] } },
    });
  },
};

/** float32 tensor of a (possibly symbolic) shape, filled with one value. */
export function filled(shape: Shape, value: number): Tensor {
  return applySingle(filledOp, [], { shape, value });
}

/** Whether a tensor is `filled` with 0. */
export function isZeros({ node }: Tensor): boolean {
  return (
    node.op === (filledOp as OpDefinition) && (node.attributes as FilledAttributes).value === 0
  );
}

interface IotaAttributes {
  length: Dim;
}

const iotaOp: OpDefinition<IotaAttributes> = {
  name: "iota",
  infer: (_, { length }) => [{ dtype: "float32", shape: [length] }],
  onnx: (emitter, _node, _inputs, [output], { length }) => {
    const limit = emitter.fresh("limit");
    const scalarShape = emitter.constant("int64", [0], []);
    emitter.node("Reshape", [emitter.shapeTensor([length]), scalarShape], [limit]);
    const integers = emitter.fresh("range");
    const bound = (value: number): string => emitter.constant("int64", [], [value]);
    emitter.node("Range", [bound(0), limit, bound(1)], [integers]);
    emitter.node("Cast", [integers], [output!], { to: { int: onnxDataType.float32 } });
  },
};

/** 0, 1, …, length-1 as float32 [length]. */
export function iota(length: Dim): Tensor {
  return applySingle(iotaOp, [], { length });
}
