/** @file Rows of a sample as a preview shows them: in one batch, token by token, masked. */
import { randomPermutation, randomStream } from "../base/random.js";
import { collate } from "../data/collate.js";
import { templateTokens, tokenTexts } from "../data/token-kinds.js";
import type { ChatMessage } from "../data/chat-template.js";
import { tokenDatasetOf, type TokenRow } from "../data/token-dataset.js";
import type { Tokenizer } from "../data/tokenizer.js";
import { alphaSchedules, maskProbability } from "../diffusion/alpha-schedule.js";
import { rowWeights } from "../diffusion/loss.js";
import { maskBatch } from "../diffusion/masking.js";
import type { MaskSettings } from "../recipe/schema.js";
import type { PreviewRow, PreviewToken, TokenKind } from "../report/preview-view.js";

/** A row of training, and where it is from. */
export interface SampledRow extends TokenRow {
  source: string;
  where: string;
  /** Of a conversation. */
  messages?: readonly ChatMessage[];
}

/** Early, in the middle and late in the forward process. */
const SHOWN_TIMES = [0.1, 0.5, 0.9];

export interface ShownOptions {
  tokenizer: Tokenizer;
  /** How many. */
  rows: number;
  seed: number;
  mask: MaskSettings;
  task: "text" | "chat";
}

/** Returns some rows of a sample, drawn by the seed from each source in turn. */
export function shownRows(all: readonly SampledRow[], options: ShownOptions): PreviewRow[] {
  const { tokenizer, seed, mask, task } = options;
  const rows = drawRows(all, options.rows, seed);
  if (rows.length === 0) return [];
  const dataset = tokenDatasetOf(rows, task === "chat" ? "trainable" : "masked");
  const order = rows.map((_, i) => i);
  const batch = collate(dataset, order, tokenizer.padId);
  const schedule = alphaSchedules[mask.schedule];
  const noised = SHOWN_TIMES.map((t) => {
    const times = new Float32Array(rows.length).fill(t);
    const { positions } = maskBatch({
      batch,
      times,
      // The same draws at each time: what is masked early stays masked.
      uniforms: (row) => {
        const stream = randomStream({ seed, purpose: "mask", sample: row });
        return () => stream.uniform();
      },
      schedule,
      maskId: tokenizer.maskId,
    });
    const lossWeight = rowWeights(times, schedule, mask.loss_weight_type)[0]!;
    return { t, maskRatio: maskProbability(schedule, t), lossWeight, positions };
  });
  const { seq, inputIds, maskable } = batch;
  return rows.map((row, i) => {
    const [start, end] = [i * seq, (i + 1) * seq];
    return {
      source: row.source,
      where: row.where,
      tokens: describeTokens(row, {
        tokenizer,
        ids: inputIds.subarray(start, end),
        maskable: maskable.subarray(start, end),
      }),
      masks: noised.map(({ positions, ...mask }) => ({
        ...mask,
        positions: Array.from(positions)
          .filter((position) => position >= start && position < end)
          .map((position) => position - start),
      })),
    };
  });
}

/** As many from each source as from the others, as far as they go. */
function drawRows(all: readonly SampledRow[], count: number, seed: number): SampledRow[] {
  const bySource = new Map<string, SampledRow[]>();
  const order = randomPermutation(all.length, { seed, purpose: "order" });
  for (const i of order) {
    const row = all[i]!;
    const rows = bySource.get(row.source);
    if (rows === undefined) bySource.set(row.source, [row]);
    else rows.push(row);
  }
  const drawn: SampledRow[] = [];
  for (let turn = 0; drawn.length < Math.min(count, all.length); turn++) {
    for (const rows of bySource.values()) {
      if (turn < rows.length && drawn.length < count) drawn.push(rows[turn]!);
    }
  }
  return drawn;
}

function describeTokens(
  { ids: { length }, messages }: SampledRow,
  { tokenizer, ids, maskable }: { tokenizer: Tokenizer; ids: Int32Array; maskable: Uint8Array },
): PreviewToken[] {
  const texts = tokenTexts(tokenizer, ids);
  const isTemplate =
    messages === undefined
      ? Array.from(ids, (id) => id === tokenizer.eosId)
      : templateTokens(tokenizer.renderChat(messages), messages, texts.slice(0, length));
  const kindOf = (i: number): TokenKind => {
    if (i >= length) return "padding";
    return isTemplate[i]! ? "template" : "content";
  };
  return texts.map((text, i) => ({
    id: ids[i]!,
    text,
    kind: kindOf(i),
    trained: maskable[i] === 1,
  }));
}
