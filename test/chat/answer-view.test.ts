/** @file Cells, wrapping and in-place drawing of half-revealed answers. */
import { describe, expect, test } from "vitest";
import { answerCells, layOutCells, textCells, type Painter } from "../../src/chat/answer-view.js";
import { createLiveRegion } from "../../src/chat/live-region.js";

const MASK = 1;
const tokenizer = {
  maskId: MASK,
  decode: (ids: readonly number[]) => String.fromCodePoint(...ids),
};
const ids = (text: string): number[] =>
  [...text].map((letter) => (letter === "_" ? MASK : letter.codePointAt(0)!));

const marks: Painter = {
  mask: (text) => text,
  fresh: (text) => `<${text}>`,
  settled: (text) => text,
};
const plain: Painter = { ...marks, fresh: (text) => text };

describe("answerCells", () => {
  test("masks are blocks, tokens of the last step are fresh", () => {
    const cells = answerCells(tokenizer, ids("ab_d_"), ids("a__d_"));
    expect(layOutCells(cells, 80, marks)).toEqual(["a<b>░d░"]);
    expect(layOutCells(answerCells(tokenizer, ids("ab_")), 80, marks)).toEqual(["ab░"]);
  });

  test("terminal control sequences of a model are not obeyed", () => {
    const cells = answerCells(tokenizer, ids("a\u001b[2J b\u0007\tc"));
    expect(layOutCells(cells, 80, plain)).toEqual(["a b c"]);
  });
});

describe("layOutCells", () => {
  const wrap = (text: string, width: number): string[] =>
    layOutCells(textCells(text, "settled"), width, plain);

  test("breaks at spaces, and inside words only when they fill a line", () => {
    expect(wrap("one two three", 7)).toEqual(["one two", "three"]);
    expect(wrap("one twenty", 6)).toEqual(["one", "twenty"]);
    expect(wrap("abcdefghij", 4)).toEqual(["abcd", "efgh", "ij"]);
    expect(wrap("a\n\nb", 4)).toEqual(["a", "", "b"]);
  });

  test("no line is wider than asked, wide characters count twice", () => {
    expect(wrap("漢字漢字", 5)).toEqual(["漢字", "漢字"]);
    const text = "some words and averyveryverylongone after that 漢字 x";
    for (let width = 2; width < 30; width++) {
      for (const line of wrap(text, width)) {
        const columns = [...line].reduce((sum, c) => sum + (c > "\u2e80" ? 2 : 1), 0);
        expect(columns).toBeLessThanOrEqual(width);
      }
    }
    expect(wrap(text, 9).join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
  });
});

test("a live region is drawn over in place", () => {
  let written = "";
  const region = createLiveRegion((text) => (written += text));
  region.draw(["a", "b", "c"]);
  region.draw(["d"]);
  region.draw(["e"]);
  region.finish();
  expect(written).toBe(
    "\u001b[?25l\r\u001b[Ja\nb\nc" + "\r\u001b[2A\u001b[Jd" + "\r\u001b[Je" + "\n\u001b[?25h",
  );
});
