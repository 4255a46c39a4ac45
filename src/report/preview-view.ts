/**
 * @file What a preview shows: of each training a few rows as the model will see them, and what
 * becomes of a sample of each of its sources.
 */

/** `template`: what the chat template writes around messages, or the end of a text. */
export type TokenKind = "content" | "template" | "padding";

export interface PreviewToken {
  id: number;
  /** What it adds to the text; empty where a character goes on in it. */
  text: string;
  kind: TokenKind;
  /** Whether it may be masked: what training learns to predict. */
  trained: boolean;
}

/** A row at one time of the forward process. */
export interface PreviewMask {
  t: number;
  /** Probability of a trained token to be masked. */
  maskRatio: number;
  /** Weight of a masked token's loss. */
  lossWeight: number;
  /** Indices of the masked tokens. */
  positions: readonly number[];
}

export interface PreviewRow {
  source: string;
  /** `file:line` of a conversation; of text, which chunk. */
  where: string;
  tokens: readonly PreviewToken[];
  masks: readonly PreviewMask[];
}

/** What became of the rows that were read of a source. */
export interface PreviewSource {
  name: string;
  /** Rows read, and whether the source has no more. */
  sampledRows: number;
  isWhole: boolean;
  keptRows: number;
  droppedRows: number;
  truncatedRows: number;
  badRows: number;
  /** Tokens that are kept, and those of them that are trained, before padding. */
  tokens: number;
  trainedTokens: number;
  /** Rows by their length before they are cut: below 2, 4, 8, … tokens. */
  lengthHistogram: readonly number[];
  medianLength: number;
  longestLength: number;
}

export interface PreviewStage {
  id: string;
  kind: "pretrain" | "sft";
  maxLength: number;
  schedule: string;
  sources: readonly PreviewSource[];
  /** Of text: chunks that the sample makes, and the share of its tokens that is dropped. */
  chunks?: { rows: number; droppedShare: number };
  /** Of conversations: the share of padding in what is trained, in batches of so many rows. */
  padding?: { batchRows: number; share: number };
  rows: readonly PreviewRow[];
  warnings: readonly string[];
}

export interface Preview {
  recipe: string;
  seed: number;
  stages: readonly PreviewStage[];
}

/** What a run of tokens is to the reader. */
export type SegmentRole = "prompt" | "trained" | "template" | "padding";

export interface Segment {
  role: SegmentRole;
  trained: boolean;
  /** Indices of its tokens: [start, end). */
  start: number;
  end: number;
}

export function roleOf({ kind, trained }: PreviewToken): SegmentRole {
  if (kind !== "content") return kind;
  return trained ? "trained" : "prompt";
}

/** Returns the runs of tokens of one role, in order. */
export function segmentsOf(tokens: readonly PreviewToken[]): Segment[] {
  const segments: Segment[] = [];
  tokens.forEach((token, i) => {
    const last = segments.at(-1);
    const role = roleOf(token);
    if (last?.role === role && last.trained === token.trained) last.end = i + 1;
    else segments.push({ role, trained: token.trained, start: i, end: i + 1 });
  });
  return segments;
}

const blocks = "▁▂▃▄▅▆▇█";

/** Returns a histogram as a line of blocks, without empty ends, and the bounds of what it shows. */
export function sparkline(histogram: readonly number[]): {
  line: string;
  from: number;
  to: number;
} {
  const first = histogram.findIndex((count) => count > 0);
  if (first < 0) return { line: "", from: 0, to: 0 };
  const last = histogram.findLastIndex((count) => count > 0);
  const most = Math.max(...histogram);
  const line = histogram
    .slice(first, last + 1)
    .map((count) => (count === 0 ? " " : blocks[Math.ceil((count / most) * blocks.length) - 1]!))
    .join("");
  return { line, from: first === 0 ? 0 : 2 ** first, to: 2 ** (last + 1) - 1 };
}

/** `sample of the first 1,000 rows`, or `all 320 rows`. */
export function describeSample({ sampledRows, isWhole }: PreviewSource): string {
  const rows = sampledRows.toLocaleString("en-US");
  if (isWhole) return `all ${rows} rows`;
  return `a sample: the first ${rows} rows`;
}

export function percent(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Number(((100 * part) / whole).toFixed(1))} %`;
}
