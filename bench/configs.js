/**
 * @file What is measured. A work is one configuration of one kind (`train`, …); `bench/work-<kind>.js`
 * runs it on our side, the function of that name in `torch_peer.py` on the peer's.
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

const train = (model, batch, seq, target, more = {}) => ({
  name: `train-${model}`,
  kind: "train",
  model: models[model],
  batch,
  seq,
  /** Ratio to reach against each precision of the peer. */
  target,
  /** Repetitions in a row before the other side's turn, and turns. */
  repetitions: 5,
  turns: 4,
  ...more,
});

/** Every work, by name. */
export const works = Object.fromEntries(
  [
    train("quick", 32, 64, { float32: 2 }, { repetitions: 10 }),
    train("tiny", 16, 128, { float32: 1.8, bfloat16: 1.3 }),
    train("base", 4, 128, { float32: 1.4 }, { repetitions: 2 }),
    train("large", 1, 128, { float32: 1.2 }, { repetitions: 2 }),
  ].map((work) => [work.name, work]),
);

/** Useful floating-point operations of one repetition: products only, the decoder at masked positions. */
export function flopsOf({ kind, model, batch, seq }, masked) {
  if (kind !== "train") return undefined;
  const { hidden_size: h, intermediate_size: i, num_hidden_layers: layers, vocab_size: v } = model;
  const tokens = batch * seq;
  const encoder = layers * (2 * tokens * (4 * h * h + 3 * h * i) + 4 * tokens * seq * h);
  return 3 * (encoder + 2 * masked * (h * h + h * v));
}
