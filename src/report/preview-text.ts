/**
 * @file A preview for the terminal. Colour repeats what the words beside it say, so that it can be
 * read without.
 */
import { sanitize } from "../base/sanitize.js";
import { formatNumber } from "./format.js";
import {
  describeSample,
  percent,
  segmentsOf,
  sparkline,
  type Preview,
  type PreviewMask,
  type PreviewRow,
  type PreviewSource,
  type PreviewStage,
  type SegmentRole,
} from "./preview-view.js";

type Paint = (text: string) => string;

/** Those of picocolors' createColors. */
export interface PreviewColors extends Readonly<Record<"bold" | "dim" | "yellow", Paint>> {
  cyan: Paint;
  green: Paint;
  magenta: Paint;
  inverse: Paint;
}

export interface PreviewTextOptions {
  colors: PreviewColors;
  /** Columns. */
  width: number;
}

// A row of a thousand tokens would scroll away what it is an example of.
const SHOWN_LINES = 6;
const LABEL_WIDTH = 11;
const MASKED = "▒";

/** Returns a preview as lines. */
export function previewText(preview: Preview, { colors, width }: PreviewTextOptions): string[] {
  const context = { colors, width: Math.max(48, width) };
  const paint = painters(colors);
  return [
    colors.bold(sanitize(`Preview of ${preview.recipe}`)),
    [
      "legend:",
      ...(["prompt", "trained", "template", "padding"] as const).map((role) => paint[role](role)),
      `${MASKED} masked`,
      "* also trained",
      "⏎ newline",
    ].join("  "),
    ...preview.stages.flatMap((stage) => ["", ...stageLines(stage, context)]),
  ];
}

interface Context {
  colors: PreviewColors;
  width: number;
}

const painters = (colors: PreviewColors): Record<SegmentRole, Paint> => ({
  prompt: colors.cyan,
  trained: colors.green,
  template: colors.magenta,
  padding: colors.dim,
});

function stageLines(stage: PreviewStage, context: Context): string[] {
  const { colors } = context;
  const { kind, maxLength, schedule, chunks, padding } = stage;
  const facts = [
    kind === "pretrain"
      ? `text in chunks of ${maxLength}`
      : `conversations up to ${maxLength} tokens`,
    `${schedule} schedule`,
  ];
  return [
    colors.bold(sanitize(`${stage.id}: ${facts.join(", ")}`)),
    ...stage.sources.flatMap((source) => sourceLines(source, kind)),
    ...(chunks === undefined
      ? []
      : [
          `  these rows make ${formatNumber(chunks.rows)} chunks; ` +
            `${percent(chunks.droppedShare, 1)} of the tokens are dropped`,
        ]),
    ...(padding === undefined
      ? []
      : [
          `  in batches of ${padding.batchRows}, padding is ${percent(padding.share, 1)} of what is trained`,
        ]),
    ...stage.warnings.map((warning) => colors.yellow(sanitize(`  warning: ${warning}`))),
    ...stage.rows.flatMap((row, i) => ["", ...rowLines(row, i, context)]),
  ];
}

function sourceLines(source: PreviewSource, kind: PreviewStage["kind"]): string[] {
  const { sampledRows, keptRows, droppedRows, truncatedRows, badRows } = source;
  const counts = [
    `${formatNumber(keptRows)} kept`,
    `${formatNumber(droppedRows)} dropped${badRows > 0 ? ` (${formatNumber(badRows)} bad)` : ""}`,
    ...(kind === "sft" ? [`${formatNumber(truncatedRows)} truncated`] : []),
  ];
  const { line, from, to } = sparkline(source.lengthHistogram);
  const trained =
    `${formatNumber(source.tokens)} tokens, ` +
    `${percent(source.trainedTokens, source.tokens)} of them trained`;
  return [
    sanitize(`  ${source.name}: ${describeSample(source)}`),
    ...(sampledRows === 0
      ? []
      : [
          `    ${counts.join(", ")}; ${trained}`,
          `    lengths ${from} ${line} ${to}: median ${formatNumber(source.medianLength)}, ` +
            `longest ${formatNumber(source.longestLength)} tokens`,
        ]),
  ];
}

function rowLines(row: PreviewRow, index: number, context: Context): string[] {
  const { colors } = context;
  const paint = painters(colors);
  const trained = row.tokens.filter((token) => token.trained).length;
  const title = `row ${index + 1}: ${row.source}, ${row.where}`;
  return [
    `  ${colors.bold(sanitize(title))}  ${row.tokens.length} tokens, ${trained} trained`,
    ...segmentsOf(row.tokens).flatMap(({ role, trained: isTrained, start, end }) => {
      const label = `${role}${isTrained && role !== "trained" ? "*" : ""}`;
      const text =
        role === "padding"
          ? `${end - start} × ${row.tokens[start]!.text.trim()}`
          : row.tokens
              .slice(start, end)
              .map((token) => token.text)
              .join("");
      return labelled(label, text, paint[role], context);
    }),
    ...row.masks.flatMap((mask) => maskLines(row, mask, context)),
  ];
}

/** What of a row is trained, as the model gets it at a time. */
function maskLines({ tokens }: PreviewRow, mask: PreviewMask, context: Context): string[] {
  const { colors } = context;
  const { t, maskRatio, lossWeight, positions } = mask;
  const masked = new Set(positions);
  const shown = tokens.map((token, i) => ({ ...token, isMasked: masked.has(i) }));
  const trained = shown.filter((token) => token.trained);
  const facts =
    `mask ratio ${formatNumber(maskRatio)}: ${positions.length} of ${trained.length} masked, ` +
    `loss weight ${formatNumber(lossWeight)}`;
  const text = trained
    .filter(({ kind, isMasked }) => kind !== "padding" || isMasked)
    .map(({ text: own, isMasked }) => (isMasked ? MASKED : own))
    .join("");
  return [
    ...labelled(`t = ${t}`, facts, colors.dim, context),
    ...labelled("", text, (part) => part.replaceAll(/▒+/g, (run) => colors.inverse(run)), context),
  ];
}

/** A text behind a label, in lines of the terminal's width; a long one loses its middle. */
function labelled(label: string, text: string, paint: Paint, { width }: Context): string[] {
  const room = width - 4 - LABEL_WIDTH - 1;
  const clean = sanitize(text.replaceAll("\n", "⏎")).replaceAll("\t", " ");
  const characters = Array.from(clean);
  const lines: string[] = [];
  for (let at = 0; at < characters.length; at += room) {
    lines.push(characters.slice(at, at + room).join(""));
  }
  if (lines.length > SHOWN_LINES) {
    const hidden = lines.length - SHOWN_LINES + 1;
    const half = SHOWN_LINES / 2;
    lines.splice(half, hidden, `… ${hidden} more lines; all of it with --html or --json …`);
  }
  return lines.map((line, i) => `    ${(i === 0 ? label : "").padEnd(LABEL_WIDTH)} ${paint(line)}`);
}
