/**
 * @file What is measured. A work is one configuration of one kind (`train`, …); `bench/work-<kind>.js`
 * runs it on our side, `bench/torch/<kind>.py` on the peer's.
 */

const special = {
  pad_token_id: 0,
  bos_token_id: 1,
  eos_token_id: 1,
  cls_token_id: 1,
  sep_token_id: 1,
};

const modernbert = (config) => ({
  ...special,
  max_position_embeddings: 8192,
  ...config,
});

const models = {
  quick: modernbert({
    vocab_size: 2048,
    hidden_size: 128,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    intermediate_size: 256,
  }),
  tiny: modernbert({
    vocab_size: 8192,
    hidden_size: 256,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    intermediate_size: 384,
  }),
  base: modernbert({
    vocab_size: 50368,
    hidden_size: 768,
    num_hidden_layers: 22,
    num_attention_heads: 12,
    intermediate_size: 1152,
  }),
  large: modernbert({
    vocab_size: 50368,
    hidden_size: 1024,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    intermediate_size: 2624,
  }),
};

/** Our mode against a precision of the peer, and the ratio to reach. */
const against = (ours, peer, target) => ({ ours, peer, target });

const train = (model, batch, seq, comparisons, more = {}) => ({
  name: `train-${model}`,
  kind: "train",
  model: models[model],
  batch,
  seq,
  comparisons,
  /** Repetitions in a row before the other side's turn, and turns. */
  repetitions: 3,
  turns: 9,
  ...more,
});

/** Ids of any text, the same for both sides. */
const someIds = (length) => Array.from({ length }, (_, i) => (i * 7919 + 11) % 8000);
const idsOf = ({ vocab_size: size }) => ({ maskId: size - 5, eosId: size - 6 });

const sample = (model, steps, comparisons) => ({
  name: `sample-${model}`,
  kind: "sample",
  model: models[model],
  ids: idsOf(models[model]),
  prompt: someIds(64),
  newTokens: 128,
  blockSize: 32,
  /** Of the 128 steps, one token each, those that are measured: all cost the same. */
  steps,
  comparisons,
  repetitions: 1,
  turns: 5,
});

const likelihood = (name, targets, comparisons) => ({
  name: `likelihood-${name}`,
  kind: "likelihood",
  model: models.base,
  ids: idsOf(models.base),
  requests: targets.map((target) => ({ prefix: someIds(100), target })),
  mcNum: 32,
  comparisons,
  repetitions: 1,
  turns: 3,
});

const tenTokens = Array.from({ length: 10 }, (_, i) => 100 + i * 13);

/** Every work, by name. */
export const works = Object.fromEntries(
  [
    train("quick", 32, 64, [against("float32", "float32", 2), against("float32", "bfloat16")]),
    train("tiny", 16, 128, [
      against("float32", "float32", 1.8),
      against("float32", "bfloat16", 1.3),
    ]),
    train("base", 4, 128, [against("float32", "float32", 1.4), against("float32", "bfloat16")], {
      repetitions: 1,
      turns: 7,
    }),
    train("base", 1, 1024, [against("float32", "float32", 1.4), against("float32", "bfloat16")], {
      name: "train-base-long",
      repetitions: 1,
      turns: 3,
    }),
    train("large", 1, 128, [against("float32", "float32", 1.2)], { repetitions: 1, turns: 5 }),
    sample("tiny", 64, [against("float32", "float32", 3), against("int8", "bfloat16", 1.3)]),
    sample("base", 8, [against("float32", "float32", 1.8), against("int8", "bfloat16", 1.3)]),
    // The choices of a question of four, a letter and the end marker each.
    likelihood(
      "one-token",
      [10, 20, 30, 40].map((id) => [id, 2]),
      [against("float32", "float32", 10), against("int8", "bfloat16")],
    ),
    likelihood(
      "ten-token",
      [tenTokens],
      [against("float32", "float32", 1.5), against("int8", "bfloat16", 1.3)],
    ),
  ].map((work) => [work.name, work]),
);

/**
 * Useful floating-point operations of one repetition: products only, the decoder at masked positions.
 * Undefined for likelihoods, where the sides compute different numbers of rows.
 */
export function flopsOf({ kind, model, ...work }, masked) {
  if (kind === "likelihood") return undefined;
  const passes = kind === "train" ? 3 : 1; // a forward, and two products for its gradients
  const [batch, seq] = shapeOf({ kind, ...work });
  const { hidden_size: h, intermediate_size: i, num_hidden_layers: layers, vocab_size: v } = model;
  const tokens = batch * seq;
  const encoder = layers * (2 * tokens * (4 * h * h + 3 * h * i) + 4 * tokens * seq * h);
  return passes * (encoder + 2 * masked * (h * h + h * v));
}

/** Rows and tokens per row that a repetition goes through; undefined where that differs. */
export function shapeOf({ kind, batch, seq, prompt, newTokens }) {
  if (kind === "train") return [batch, seq];
  if (kind === "sample") return [1, prompt.length + newTokens];
  return undefined;
}
