/**
 * @file ModernBERT for masked-language modelling as a graph: pre-norm without biases, rotary
 * positions with separate thetas for global and local layers, sliding-window local layers,
 * GeGLU, tied decoder. Source: arXiv:2412.13663;
 * huggingface/transformers@v4.57.6 models/modernbert/modeling_modernbert.py.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import { multiplyDims } from "../graph/dim.js";
import { add, gelu, mul, minimum } from "../graph/ops/elementwise.js";
import { gatherRows } from "../graph/ops/indexing.js";
import { gemm } from "../graph/ops/linear.js";
import { layerNorm } from "../graph/ops/normalisation.js";
import type { RotaryTable } from "../graph/ops/rotary.js";
import { rotary, rotaryTable } from "../graph/ops/rotary.js";
import { reshape, split, transpose } from "../graph/ops/shape.js";
import { windowAttention } from "../graph/ops/window-attention.js";
import type { Tensor } from "../graph/tensor.js";
import { attend, keyMask, windowBlocks, windowMask } from "./attention.js";
import { readConfig } from "./config-reader.js";
import { effectiveDropout, noDropout } from "./dropout.js";
import type {
  ForwardInputs,
  ForwardOutputs,
  ModelConfig,
  ModelFamilyDefinition,
  ParameterSpec,
  TokenIds,
} from "./family.js";
import { BATCH, SEQ } from "./family.js";
import { scratchConfig } from "./scratch-config.js";

export interface ModernBertConfig extends ModelConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly localAttention: number;
  readonly globalEvery: number;
  readonly globalRopeTheta: number;
  readonly localRopeTheta: number;
  readonly normEps: number;
  readonly initializerRange: number;
  readonly initializerCutoff: number;
  readonly padTokenId: number;
  /** Dropout probabilities, in training: of the embedding; */
  readonly embeddingDropout: number;
  /** of the attention probabilities, and of what the attention adds to the hidden state; */
  readonly attentionDropout: number;
  /** of the gated activations between the two linear maps of the MLP. */
  readonly mlpDropout: number;
}

function parseConfig(json: JsonObject): ModernBertConfig {
  const config = readConfig("modernbert", json);
  for (const key of ["norm_bias", "attention_bias", "mlp_bias", "classifier_bias"]) {
    config.expect(key, false);
  }
  config.expect("decoder_bias", true);
  config.expect("tie_word_embeddings", true);
  config.expect("hidden_activation", "gelu");
  config.expect("classifier_activation", "gelu");
  const parsed: ModernBertConfig = {
    modelType: "modernbert",
    json,
    vocabSize: config.integer("vocab_size"),
    maxPositions: config.integer("max_position_embeddings"),
    hiddenSize: config.integer("hidden_size"),
    intermediateSize: config.integer("intermediate_size"),
    layers: config.integer("num_hidden_layers"),
    heads: config.integer("num_attention_heads"),
    localAttention: config.integer("local_attention"),
    globalEvery: config.integer("global_attn_every_n_layers"),
    globalRopeTheta: config.number("global_rope_theta"),
    localRopeTheta: config.number("local_rope_theta"),
    normEps: config.number("norm_eps"),
    initializerRange: config.number("initializer_range"),
    initializerCutoff: config.number("initializer_cutoff_factor"),
    padTokenId: config.integer("pad_token_id"),
    embeddingDropout: config.probability("embedding_dropout"),
    attentionDropout: config.probability("attention_dropout"),
    mlpDropout: config.probability("mlp_dropout"),
  };
  if (parsed.hiddenSize % (2 * parsed.heads) !== 0) {
    throw new DllmError(
      `modernbert config: hidden_size ${parsed.hiddenSize} is no multiple of 2 x num_attention_heads (${parsed.heads})`,
      { exitCode: ExitCode.invalidInput },
    );
  }
  return parsed;
}

function completeConfig(json: JsonObject, ids: TokenIds): JsonObject {
  return scratchConfig("modernbert", json, ids, {
    cls_token_id: ids.clsId ?? ids.bosId,
    sep_token_id: ids.sepId ?? ids.eosId,
  });
}

function parameters(config: ModernBertConfig): readonly ParameterSpec[] {
  const { hiddenSize, intermediateSize, layers, vocabSize } = config;
  const normal = (std: number): ParameterSpec["initialisation"] => ({
    kind: "truncated_normal",
    std,
    cutoff: config.initializerCutoff,
  });
  const inward = normal(config.initializerRange);
  const outward = normal(config.initializerRange / Math.sqrt(2 * layers));
  const matrix = (
    name: string,
    shape: readonly number[],
    initialisation: ParameterSpec["initialisation"],
  ): ParameterSpec => ({ name, shape, initialisation, decays: true });
  const norm = (name: string): ParameterSpec => ({
    name,
    shape: [hiddenSize],
    initialisation: { kind: "ones" },
    decays: false,
  });
  return [
    matrix("model.embeddings.tok_embeddings.weight", [vocabSize, hiddenSize], inward),
    norm("model.embeddings.norm.weight"),
    ...Array.from({ length: layers }, (_, layer) => {
      const prefix = `model.layers.${layer}`;
      return [
        // The first layer follows the embedding's norm directly: its own is the identity.
        ...(layer === 0 ? [] : [norm(`${prefix}.attn_norm.weight`)]),
        matrix(`${prefix}.attn.Wqkv.weight`, [3 * hiddenSize, hiddenSize], inward),
        matrix(`${prefix}.attn.Wo.weight`, [hiddenSize, hiddenSize], outward),
        norm(`${prefix}.mlp_norm.weight`),
        matrix(`${prefix}.mlp.Wi.weight`, [2 * intermediateSize, hiddenSize], inward),
        matrix(`${prefix}.mlp.Wo.weight`, [hiddenSize, intermediateSize], outward),
      ];
    }).flat(),
    norm("model.final_norm.weight"),
    matrix("head.dense.weight", [hiddenSize, hiddenSize], outward),
    norm("head.norm.weight"),
    {
      name: "decoder.bias",
      shape: [vocabSize],
      initialisation: { kind: "zeros" },
      decays: false,
    },
  ];
}

/** x W^T for x [n, in], W [out, in]. */
const linear = (x: Tensor, weight: Tensor): Tensor => gemm(x, weight, { transposeB: true });

/**
 * Windows of a sequence from which on blocks are faster. A block's queries meet the keys of two
 * windows, so that at two windows the products are as large as those of whole rows.
 */
const LONG = 4;

function forward(
  config: ModernBertConfig,
  {
    inputIds,
    attentionMask,
    positions,
    parameters: weights,
    dropout: asked = noDropout,
    windowBlocks: inBlocks = false,
  }: ForwardInputs,
): ForwardOutputs {
  const { hiddenSize, heads, normEps, padTokenId, intermediateSize } = config;
  const { embeddingDropout, attentionDropout, mlpDropout } = config;
  const dropout = effectiveDropout(asked, embeddingDropout, attentionDropout, mlpDropout);
  const headDim = hiddenSize / heads;
  const tokens = multiplyDims(BATCH, SEQ);
  const weight = (name: string): Tensor => weights.get(name)!;
  const embeddings = weight("model.embeddings.tok_embeddings.weight");

  const globalMask = attentionMask && keyMask(attentionMask);
  const reach = Math.floor(config.localAttention / 2);
  const local = windowMask(reach);
  const localMask = globalMask ? minimum(globalMask, local) : local;
  // Dropped probabilities are those of whole rows.
  const dropsAttention = dropout !== noDropout && attentionDropout > 0;
  const blocks = inBlocks && !dropsAttention ? windowBlocks(reach, attentionMask) : undefined;
  const globalTable = rotaryTable(SEQ, headDim, config.globalRopeTheta);
  const localTable = rotaryTable(SEQ, headDim, config.localRopeTheta);

  // After the last layer's attention only the wanted positions matter. Dropout, as the reference
  // draws it, covers all of them.
  const rowsAfterAttention = (layer: number, x: Tensor): Tensor =>
    positions && dropout === noDropout && layer === config.layers - 1
      ? gatherRows(x, positions, { unique: true })
      : x;

  const attention = (x: Tensor, layer: number): Tensor => {
    const prefix = `model.layers.${layer}`;
    const isGlobal = layer % config.globalEvery === 0;
    const qkv = linear(x, weight(`${prefix}.attn.Wqkv.weight`));
    // Cutting first is faster than transposing all three at once.
    const [q, k, v] = split(qkv, 1, [hiddenSize, hiddenSize, hiddenSize]).map((part) =>
      transpose(reshape(part, [BATCH, SEQ, heads, headDim]), [0, 2, 1, 3]),
    );
    const table: RotaryTable = isGlobal ? globalTable : localTable;
    const [turnedQ, turnedK] = [rotary(q!, table), rotary(k!, table)];
    const drop = (probabilities: Tensor): Tensor =>
      dropout(probabilities, `${prefix}.attn`, attentionDropout);
    const out =
      blocks && !isGlobal
        ? windowAttention(turnedQ, turnedK, v!, blocks)
        : attend(turnedQ, turnedK, v!, isGlobal ? globalMask : localMask, drop);
    const joined = reshape(transpose(out, [0, 2, 1, 3]), [tokens, hiddenSize]);
    const projected = linear(rowsAfterAttention(layer, joined), weight(`${prefix}.attn.Wo.weight`));
    return dropout(projected, `${prefix}.attn.Wo`, config.attentionDropout);
  };

  const mlp = (x: Tensor, prefix: string): Tensor => {
    const wide = linear(x, weight(`${prefix}.mlp.Wi.weight`));
    const [activated, gate] = split(wide, 1, [intermediateSize, intermediateSize]);
    const gated = dropout(mul(gelu(activated!), gate!), `${prefix}.mlp`, config.mlpDropout);
    return linear(gated, weight(`${prefix}.mlp.Wo.weight`));
  };

  const normedEmbedding = layerNorm(
    gatherRows(embeddings, reshape(inputIds, [tokens]), { frozenRow: padTokenId }),
    weight("model.embeddings.norm.weight"),
    normEps,
  );
  let hidden = dropout(normedEmbedding, "model.embeddings", config.embeddingDropout);
  const hiddenStates = [hidden];
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const normed =
      layer === 0 ? hidden : layerNorm(hidden, weight(`${prefix}.attn_norm.weight`), normEps);
    hidden = add(rowsAfterAttention(layer, hidden), attention(normed, layer));
    hidden = add(
      hidden,
      mlp(layerNorm(hidden, weight(`${prefix}.mlp_norm.weight`), normEps), prefix),
    );
    hiddenStates.push(hidden);
  }

  const wanted =
    positions && dropout !== noDropout ? gatherRows(hidden, positions, { unique: true }) : hidden;
  const final = layerNorm(wanted, weight("model.final_norm.weight"), normEps);
  const transformed = layerNorm(
    gelu(linear(final, weight("head.dense.weight"))),
    weight("head.norm.weight"),
    normEps,
  );
  const decoder = { x: transformed, weight: embeddings, bias: weight("decoder.bias") };
  return { decoder, hiddenStates };
}

export const modernbert: ModelFamilyDefinition<ModernBertConfig> = {
  parseConfig,
  completeConfig,
  parameters,
  parameterName: (tensor) => (tensor === "decoder.weight" ? undefined : tensor),
  forward,
  windowBlocksFrom: ({ localAttention: width }) => (width > 1 ? LONG * width : Infinity),
};
