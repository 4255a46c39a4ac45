/**
 * @file What a model family is: its configuration, its parameters (Hugging Face names, shapes,
 * initialisation) and its forward pass as a graph.
 */
import type { Json, JsonObject } from "../base/json.js";
import type { Classifier } from "../graph/ops/cross-entropy.js";
import type { Tensor } from "../graph/tensor.js";
import type { Dropout } from "./dropout.js";

export type Initialisation =
  | { kind: "zeros" }
  | { kind: "ones" }
  /** Normal with the given standard deviation, cut at `cutoff` standard deviations. */
  | { kind: "truncated_normal"; std: number; cutoff: number }
  /** Normal; the row `zeroRow` of a table is zero (torch's `padding_idx`), null for none. */
  | { kind: "normal"; std: number; zeroRow: number | null };

export interface ParameterSpec {
  /** Name in model.safetensors. */
  name: string;
  shape: readonly number[];
  initialisation: Initialisation;
  /** Whether the reference's optimizer applies weight decay to it. */
  decays: boolean;
}

/** Inputs of a forward pass; symbolic dimensions `batch`, `seq`, `masked`; integers of any width. */
export interface ForwardInputs {
  /** int [batch, seq] */
  inputIds: Tensor;
  /** int [batch, seq], 1 for visible keys; absent: all are visible. */
  attentionMask?: Tensor;
  /** int [masked]: flat indices (row * seq + column) where logits are wanted; absent: everywhere. */
  positions?: Tensor;
  parameters: ReadonlyMap<string, Tensor>;
  /** How to drop elements, in training; absent: nothing is dropped. */
  dropout?: Dropout;
  /** Whether sliding windows are computed in blocks, which ONNX Runtime on the CPU can. */
  windowBlocks?: boolean;
}

export interface ForwardOutputs {
  /** What gives the logits, [masked, vocab]; without `positions` [batch*seq, vocab]: see `logitsOf`. */
  decoder: Classifier;
  /**
   * float32 [batch*seq, hidden]: after the embedding, then after each layer; with `positions` and
   * without dropout the last is [masked, hidden].
   */
  hiddenStates: readonly Tensor[];
}

/** A parsed configuration; `json` is what config.json holds. */
export interface ModelConfig {
  readonly modelType: string;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly json: JsonObject;
}

/** What a config.json takes from the tokenizer. */
export interface TokenIds {
  vocabSize: number;
  padId: number;
  bosId: number;
  eosId: number;
  clsId: number | undefined;
  sepId: number | undefined;
}

export interface ModelFamilyDefinition<C extends ModelConfig = ModelConfig> {
  /** @throws DllmError 65 naming the field that is missing, of a wrong type, or not supported */
  parseConfig(json: JsonObject): C;
  /**
   * The whole config.json, as transformers writes it, of a model from scratch.
   * @param json hyperparameters, which win over the defaults of the family
   */
  completeConfig(json: JsonObject, ids: TokenIds): JsonObject;
  parameters(config: C): readonly ParameterSpec[];
  /**
   * The parameter that a tensor of a checkpoint holds (old checkpoints have other names);
   * undefined for tensors that are no parameter: tied copies, other heads.
   */
  parameterName(tensor: string): string | undefined;
  forward(config: C, inputs: ForwardInputs): ForwardOutputs;
  /** Tokens of a row from which on training is faster with `windowBlocks`; absent: never. */
  windowBlocksFrom?(config: C): number;
}

export const BATCH = "batch";
export const SEQ = "seq";
export const MASKED = "masked";

/** Reads typed fields of a config.json, absent ones as their default, naming what is wrong. */
export interface ConfigReader {
  integer(key: string): number;
  number(key: string): number;
  /** A number in [0, 1). */
  probability(key: string): number;
  /** @throws unless the field is absent or has one of the values */
  expect(key: string, ...values: Json[]): void;
}
