/**
 * @file What BERT and RoBERTa share: post-norm encoder layers with biases, learned absolute
 * positions, and a tied masked-LM head. They differ in names, in how positions are counted, and
 * in which embedding rows are frozen. Sources: arXiv:1810.04805, arXiv:1907.11692;
 * huggingface/transformers@v4.57.6 models/{bert,roberta}/modeling_{bert,roberta}.py.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import { usablePositions } from "../base/model-config.js";
import { multiplyDims } from "../graph/dim.js";
import { add, gelu } from "../graph/ops/elementwise.js";
import { gatherRows } from "../graph/ops/indexing.js";
import { gemm } from "../graph/ops/linear.js";
import { layerNorm } from "../graph/ops/normalisation.js";
import { reshape, transpose } from "../graph/ops/shape.js";
import { constant } from "../graph/ops/source.js";
import type { Tensor } from "../graph/tensor.js";
import { attend, keyMask } from "./attention.js";
import { readConfig } from "./config-reader.js";
import { effectiveDropout, noDropout } from "./dropout.js";
import type {
  ForwardInputs,
  ForwardOutputs,
  Initialisation,
  ModelConfig,
  ModelFamilyDefinition,
  ParameterSpec,
} from "./family.js";
import { BATCH, SEQ } from "./family.js";
import { scratchConfig } from "./scratch-config.js";

export interface BertConfig extends ModelConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly tokenTypes: number;
  readonly normEps: number;
  readonly initializerRange: number;
  readonly padTokenId: number;
  /** Of the embedding and of what each layer adds to the hidden state, in training. */
  readonly hiddenDropout: number;
  /** Of the attention probabilities, in training. */
  readonly attentionDropout: number;
  /** Rows of the position table; `maxPositions` is the longest usable sequence. */
  readonly positionRows: number;
}

/** Where BERT and RoBERTa differ. */
export interface BertVariant {
  modelType: "bert" | "roberta";
  /** Prefix of the masked-LM head's names, and the names in it. */
  head: { dense: string; norm: string; bias: string };
  /** int32 [batch * seq] rows of the position table. */
  positionIds(inputIds: Tensor, padTokenId: number): Tensor;
  /** Row of the position table that gets no gradient; null for none. */
  frozenPosition(padTokenId: number): number | null;
}

function parseConfig(variant: BertVariant, json: JsonObject): BertConfig {
  const { modelType } = variant;
  const config = readConfig(modelType, json);
  config.expect("hidden_act", "gelu");
  config.expect("position_embedding_type", "absolute");
  config.expect("is_decoder", false);
  config.expect("tie_word_embeddings", true);
  const positionRows = config.integer("max_position_embeddings");
  const padTokenId = config.integer("pad_token_id");
  const parsed: BertConfig = {
    modelType,
    json,
    vocabSize: config.integer("vocab_size"),
    positionRows,
    maxPositions: usablePositions(modelType, { maxPositionEmbeddings: positionRows, padTokenId }),
    hiddenSize: config.integer("hidden_size"),
    intermediateSize: config.integer("intermediate_size"),
    layers: config.integer("num_hidden_layers"),
    heads: config.integer("num_attention_heads"),
    tokenTypes: config.integer("type_vocab_size"),
    normEps: config.number("layer_norm_eps"),
    initializerRange: config.number("initializer_range"),
    padTokenId,
    hiddenDropout: config.probability("hidden_dropout_prob"),
    attentionDropout: config.probability("attention_probs_dropout_prob"),
  };
  if (parsed.maxPositions < 1) {
    throw new DllmError(
      `${modelType} config: max_position_embeddings ${positionRows} leaves no position beside pad_token_id ${padTokenId}`,
      {
        exitCode: ExitCode.invalidInput,
        details: [
          `expected more than ${positionRows - parsed.maxPositions}`,
          "raise it, or bring a tokenizer whose padding id is small, as the family's own is",
        ],
      },
    );
  }
  if (parsed.hiddenSize % parsed.heads !== 0) {
    throw new DllmError(
      `${modelType} config: hidden_size ${parsed.hiddenSize} is no multiple of num_attention_heads (${parsed.heads})`,
      { exitCode: ExitCode.invalidInput },
    );
  }
  return parsed;
}

/** Weight and bias of a named linear layer or norm. */
const weightOf = (name: string): string => `${name}.weight`;
const biasOf = (name: string): string => `${name}.bias`;

function layerNames(variant: BertVariant, layer: number) {
  const prefix = `${variant.modelType}.encoder.layer.${layer}`;
  return {
    attention: `${prefix}.attention.self`,
    query: `${prefix}.attention.self.query`,
    key: `${prefix}.attention.self.key`,
    value: `${prefix}.attention.self.value`,
    attentionOutput: `${prefix}.attention.output.dense`,
    attentionNorm: `${prefix}.attention.output.LayerNorm`,
    intermediate: `${prefix}.intermediate.dense`,
    output: `${prefix}.output.dense`,
    outputNorm: `${prefix}.output.LayerNorm`,
  };
}

function parameters(variant: BertVariant, config: BertConfig): readonly ParameterSpec[] {
  const { hiddenSize, intermediateSize, vocabSize, layers } = config;
  const normal = (zeroRow: number | null): Initialisation => ({
    kind: "normal",
    std: config.initializerRange,
    zeroRow,
  });
  const table = (name: string, rows: number, zeroRow: number | null): ParameterSpec => ({
    name: weightOf(name),
    shape: [rows, hiddenSize],
    initialisation: normal(zeroRow),
    decays: true,
  });
  const bias = (name: string, length: number): ParameterSpec => ({
    name,
    shape: [length],
    initialisation: { kind: "zeros" },
    decays: false,
  });
  const linear = (name: string, out: number, into: number): ParameterSpec[] => [
    {
      name: weightOf(name),
      shape: [out, into],
      initialisation: normal(null),
      decays: true,
    },
    bias(biasOf(name), out),
  ];
  const norm = (name: string): ParameterSpec[] => [
    {
      name: weightOf(name),
      shape: [hiddenSize],
      initialisation: { kind: "ones" },
      decays: false,
    },
    bias(biasOf(name), hiddenSize),
  ];
  const embeddings = `${variant.modelType}.embeddings`;
  return [
    table(`${embeddings}.word_embeddings`, vocabSize, config.padTokenId),
    table(
      `${embeddings}.position_embeddings`,
      config.positionRows,
      variant.frozenPosition(config.padTokenId),
    ),
    table(`${embeddings}.token_type_embeddings`, config.tokenTypes, null),
    ...norm(`${embeddings}.LayerNorm`),
    ...Array.from({ length: layers }, (_, layer) => {
      const names = layerNames(variant, layer);
      return [
        ...linear(names.query, hiddenSize, hiddenSize),
        ...linear(names.key, hiddenSize, hiddenSize),
        ...linear(names.value, hiddenSize, hiddenSize),
        ...linear(names.attentionOutput, hiddenSize, hiddenSize),
        ...norm(names.attentionNorm),
        ...linear(names.intermediate, intermediateSize, hiddenSize),
        ...linear(names.output, hiddenSize, intermediateSize),
        ...norm(names.outputNorm),
      ];
    }).flat(),
    bias(variant.head.bias, vocabSize),
    ...linear(variant.head.dense, hiddenSize, hiddenSize),
    ...norm(variant.head.norm),
  ];
}

function forward(
  variant: BertVariant,
  config: BertConfig,
  {
    inputIds,
    attentionMask,
    positions,
    parameters: weights,
    dropout: asked = noDropout,
  }: ForwardInputs,
): ForwardOutputs {
  const { hiddenSize, heads, normEps, padTokenId, hiddenDropout, attentionDropout } = config;
  const dropout = effectiveDropout(asked, hiddenDropout, attentionDropout);
  const headDim = hiddenSize / heads;
  const tokens = multiplyDims(BATCH, SEQ);
  const weight = (name: string): Tensor => weights.get(name)!;
  const linear = (x: Tensor, name: string): Tensor =>
    add(gemm(x, weight(weightOf(name)), { transposeB: true }), weight(biasOf(name)));
  const norm = (x: Tensor, name: string): Tensor =>
    layerNorm(x, weight(weightOf(name)), normEps, weight(biasOf(name)));
  const embeddings = `${variant.modelType}.embeddings`;
  const words = weight(`${embeddings}.word_embeddings.weight`);
  const mask = attentionMask && keyMask(attentionMask);

  const wordVectors = gatherRows(words, reshape(inputIds, [tokens]), { frozenRow: padTokenId });
  const typeVectors = gatherRows(
    weight(`${embeddings}.token_type_embeddings.weight`),
    constant([0], [1], "int32"), // one text per row: type 0 everywhere
  );
  const positionVectors = gatherRows(
    weight(`${embeddings}.position_embeddings.weight`),
    variant.positionIds(inputIds, padTokenId),
    { frozenRow: variant.frozenPosition(padTokenId) },
  );
  let hidden = dropout(
    norm(add(add(wordVectors, typeVectors), positionVectors), `${embeddings}.LayerNorm`),
    embeddings,
    hiddenDropout,
  );
  const hiddenStates = [hidden];
  // After the last layer's attention only the wanted positions matter. Dropout, as the reference
  // draws it, covers all of them.
  const rowsAfterAttention = (layer: number, x: Tensor): Tensor =>
    positions && dropout === noDropout && layer === config.layers - 1
      ? gatherRows(x, positions, { unique: true })
      : x;
  for (let layer = 0; layer < config.layers; layer++) {
    const names = layerNames(variant, layer);
    const byHead = (name: string): Tensor =>
      transpose(reshape(linear(hidden, name), [BATCH, SEQ, heads, headDim]), [0, 2, 1, 3]);
    const context = attend(
      byHead(names.query),
      byHead(names.key),
      byHead(names.value),
      mask,
      (probabilities) => dropout(probabilities, names.attention, attentionDropout),
    );
    const joined = reshape(transpose(context, [0, 2, 1, 3]), [tokens, hiddenSize]);
    const projected = linear(rowsAfterAttention(layer, joined), names.attentionOutput);
    hidden = norm(
      add(
        rowsAfterAttention(layer, hidden),
        dropout(projected, names.attentionOutput, hiddenDropout),
      ),
      names.attentionNorm,
    );
    const wide = gelu(linear(hidden, names.intermediate));
    const narrow = linear(wide, names.output);
    hidden = norm(add(hidden, dropout(narrow, names.output, hiddenDropout)), names.outputNorm);
    hiddenStates.push(hidden);
  }

  const wanted =
    positions && dropout !== noDropout ? gatherRows(hidden, positions, { unique: true }) : hidden;
  const transformed = norm(gelu(linear(wanted, variant.head.dense)), variant.head.norm);
  const decoder = { x: transformed, weight: words, bias: weight(variant.head.bias) };
  return { decoder, hiddenStates };
}

/** Parts of other heads and copies of tied tensors that published checkpoints carry. */
const ignored = /\.pooler\.|^cls\.seq_relationship\.|\.decoder\.(weight|bias)$|\.position_ids$/;

/** Returns the family of a variant. */
export function bertFamily(variant: BertVariant): ModelFamilyDefinition<BertConfig> {
  return {
    parseConfig: (json) => parseConfig(variant, json),
    completeConfig: (json, ids) => scratchConfig(variant.modelType, json, ids),
    parameters: (config) => parameters(variant, config),
    forward: (config, inputs) => forward(variant, config, inputs),
    parameterName: (tensor) =>
      ignored.test(tensor)
        ? undefined
        : // The first checkpoints, converted from TensorFlow, name norms gamma and beta.
          tensor
            .replace(/LayerNorm\.gamma$/, "LayerNorm.weight")
            .replace(/LayerNorm\.beta$/, "LayerNorm.bias"),
  };
}
