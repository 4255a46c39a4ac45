/** @file What of a preview deserves a second look, in words and numbers. */
import type { PreviewSource, PreviewStage } from "../report/preview-view.js";

export interface Findings {
  /** Conversations whose rendering ends with the answer itself. */
  withoutEnd: number;
  /** Rows that are kept and have nothing to train. */
  nothingTrained: number;
  /** Rows whose prompt's tokens are not the row's first ones. */
  promptNotPrefix: number;
  /** What is wrong with bad rows: the first few. */
  problems: readonly string[];
}

// Less is what any dataset has.
const NOTABLE = 0.1;

const number = (value: number): string => value.toLocaleString("en-US");

function of(part: number, whole: number): string {
  const share = Math.round((100 * part) / whole);
  return `${number(part)} of ${number(whole)} rows (${share === 0 ? "below 1" : share} %)`;
}

/** Returns what is odd about a stage's data, most serious first. */
export function warningsOf(stage: Omit<PreviewStage, "warnings">, found: Findings): string[] {
  const { sources, chunks, maxLength } = stage;
  const total = (key: "sampledRows" | "keptRows" | "tokens" | "trainedTokens") =>
    sources.reduce((sum, source) => sum + source[key], 0);
  const warnings: string[] = [];
  const kept = total("keptRows");
  if (total("sampledRows") === 0) return ["there is no row to train on"];
  if (total("trainedTokens") === 0) {
    warnings.push(
      `nothing is trained: none of ${number(total("tokens"))} tokens; the labels of all ` +
        `${number(kept)} rows are masked (max_length is ${maxLength})`,
    );
  } else if (found.nothingTrained > 0) {
    warnings.push(
      `${of(found.nothingTrained, kept)} have nothing to train: their prompt fills max_length ${maxLength}`,
    );
  }
  for (const source of sources) warnings.push(...sourceWarnings(source, stage));
  for (const problem of found.problems) warnings.push(`bad row: ${problem}`);
  if (found.withoutEnd > 0) {
    warnings.push(
      `the chat template writes no end marker after the answer in ${of(found.withoutEnd, kept)}: ` +
        "only the padding behind it tells where an answer ends",
    );
  }
  if (found.promptNotPrefix > 0) {
    warnings.push(
      `in ${of(found.promptNotPrefix, kept)} the prompt's tokens are no prefix of the row's: ` +
        "the border between prompt and answer is off there",
    );
  }
  if (chunks !== undefined && chunks.droppedShare >= NOTABLE) {
    warnings.push(
      `drop_tail drops ${Math.round(100 * chunks.droppedShare)} % of the tokens: ` +
        `${number(chunks.rows)} chunks of ${maxLength} are left; lower max_length or write drop_tail: false`,
    );
  }
  return warnings;
}

function sourceWarnings(
  source: PreviewSource,
  { maxLength, kind }: Omit<PreviewStage, "warnings">,
) {
  const { name, sampledRows, keptRows, badRows, truncatedRows, medianLength, longestLength } =
    source;
  const warnings: string[] = [];
  if (sampledRows === 0) return [`${name}: no row to train on`];
  const tooLong = source.droppedRows - badRows;
  if (badRows > 0) warnings.push(`${name}: ${of(badRows, sampledRows)} are bad`);
  if (tooLong >= NOTABLE * sampledRows && tooLong > 0) {
    warnings.push(
      `${name}: ${of(tooLong, sampledRows)} are dropped: too long for max_length ${maxLength}`,
    );
  }
  if (truncatedRows >= NOTABLE * keptRows && truncatedRows > 0) {
    warnings.push(
      `${name}: ${of(truncatedRows, keptRows)} are cut at max_length ${maxLength} ` +
        `(median ${number(medianLength)} tokens, longest ${number(longestLength)})`,
    );
  }
  if (kind === "pretrain" && source.tokens === 0) warnings.push(`${name}: its texts are empty`);
  return warnings;
}
