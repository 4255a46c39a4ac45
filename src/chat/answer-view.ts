/**
 * @file How a half-revealed answer looks: masks as dim blocks, tokens of the last step
 * highlighted, everything wrapped to the terminal's width.
 */
import { sanitize } from "../base/sanitize.js";

/** The part of a tokenizer that the view needs. */
export interface ViewTokenizer {
  decode(ids: readonly number[], options: { skipSpecialTokens: boolean; cleanUp: boolean }): string;
  readonly maskId: number;
}

export type CellStyle = "mask" | "fresh" | "settled";

/** What stands in one place of the terminal, one or two columns wide. */
export interface Cell {
  text: string;
  style: CellStyle;
}

export type Painter = Readonly<Record<CellStyle, (text: string) => string>>;

export const MASK_GLYPH = "░";

/**
 * Returns the cells of an answer's ids: one block per mask, the decoded text of the others.
 * `before` are the ids one step earlier; where they differ, the token is fresh.
 */
export function answerCells(
  tokenizer: ViewTokenizer,
  ids: ArrayLike<number>,
  before: ArrayLike<number> = ids,
): Cell[] {
  const styleOf = (i: number): CellStyle => {
    if (ids[i] === tokenizer.maskId) return "mask";
    return ids[i] === before[i] ? "settled" : "fresh";
  };
  const cells: Cell[] = [];
  for (let start = 0; start < ids.length;) {
    const style = styleOf(start);
    let end = start + 1;
    while (end < ids.length && styleOf(end) === style) end++;
    if (style === "mask") {
      for (let i = start; i < end; i++) cells.push({ text: MASK_GLYPH, style });
    } else {
      // Tokens of a run are decoded together: a character may be spread over several.
      const run = Array.from({ length: end - start }, (_, i) => ids[start + i]!);
      const text = tokenizer.decode(run, { skipSpecialTokens: true, cleanUp: false });
      cells.push(...textCells(text, style));
    }
    start = end;
  }
  return cells;
}

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Returns text, made safe for a terminal, as cells of one style. */
export function textCells(text: string, style: CellStyle): Cell[] {
  const safe = sanitize(text).replaceAll("\t", " ");
  return [...segmenter.segment(safe)].map(({ segment }) => ({ text: segment, style }));
}

/** Returns cells as painted lines of at most `width` columns, broken at spaces where possible. */
export function layOutCells(cells: readonly Cell[], width: number, painter: Painter): string[] {
  const lines: Cell[][] = [[]];
  let column = 0;
  for (const cell of cells) {
    const line = lines.at(-1)!;
    if (cell.text === "\n") {
      lines.push([]);
      column = 0;
      continue;
    }
    const cellWidth = columnsOf(cell.text);
    if (column + cellWidth <= width) {
      line.push(cell);
      column += cellWidth;
      continue;
    }
    if (cell.text === " ") {
      lines.push([]);
      column = 0;
      continue;
    }
    // Words go to the next line whole, unless a word fills the line or ends in masks.
    const space = line.findLastIndex(({ text }) => text === " " || text === MASK_GLYPH);
    const moved = line.splice(space + 1);
    if (line.length === 0) line.push(...moved.splice(0));
    if (line.at(-1)?.text === " ") line.pop();
    lines.push([...moved, cell]);
    column = lines.at(-1)!.reduce((sum, { text }) => sum + columnsOf(text), 0);
  }
  return lines.map((line) => paintLine(line, painter));
}

function paintLine(cells: readonly Cell[], painter: Painter): string {
  let painted = "";
  for (let start = 0; start < cells.length;) {
    const { style } = cells[start]!;
    let end = start;
    while (cells[end]?.style === style) end++;
    const text = cells
      .slice(start, end)
      .map((cell) => cell.text)
      .join("");
    painted += painter[style](text);
    start = end;
  }
  return painted;
}

// East Asian wide and fullwidth forms, and emoji.
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|^\p{Emoji_Presentation}|^[\u{20000}-\u{3fffd}]/u;

function columnsOf(grapheme: string): number {
  return WIDE.test(grapheme) ? 2 : 1;
}
