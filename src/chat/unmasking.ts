/** @file Shows an answer while its tokens unmask in place. */
import pc from "picocolors";
import type { SampleFrame } from "../sample/denoise.js";
import {
  answerCells,
  layOutCells,
  textCells,
  type Painter,
  type ViewTokenizer,
} from "./answer-view.js";
import { createLiveRegion } from "./live-region.js";

export interface UnmaskingDisplay {
  /** For `onFrame` of the sampler. */
  frame(frame: SampleFrame): Promise<void>;
  /** Replaces the frames by the answer. */
  finish(answer: string): void;
  /** Leaves the last frame as it is. */
  abandon(): void;
}

export interface UnmaskingOptions {
  tokenizer: ViewTokenizer;
  /** Where the answer begins in the only row of the canvas. */
  promptLength: number;
  write(text: string): void;
  columns: number;
  colors: boolean;
  /** Least time that a frame is seen. */
  frameMs: number;
  sleep(ms: number): Promise<void>;
}

// A region taller than the screen cannot be drawn over: 24 rows are the least that is usual.
const MOST_LINES = 16;

export const EMPTY_ANSWER = "<empty>";

/** Returns a display of one answer at the cursor, which must be at the start of a line. */
export function showUnmasking(options: UnmaskingOptions): UnmaskingDisplay {
  const { tokenizer, promptLength, write, frameMs, sleep } = options;
  const region = createLiveRegion(write);
  const painter = answerPainter(options.colors);
  // One column less: a full line would wrap and count as two.
  const width = Math.max(8, options.columns - 1);
  let before: Int32Array | undefined;
  return {
    async frame({ step, canvas }) {
      const ids = canvas.subarray(promptLength);
      const masks = ids.reduce((sum, id) => (id === tokenizer.maskId ? sum + 1 : sum), 0);
      const lines = layOutCells(answerCells(tokenizer, ids, before), width, painter);
      const firstMasked = lines.findIndex((line) => line.includes("░"));
      const end = Math.max(MOST_LINES, Math.min(lines.length, firstMasked + MOST_LINES / 2));
      region.draw([
        ...lines.slice(Math.max(0, end - MOST_LINES), end),
        painter.mask(`step ${step}, ${masks} masked`),
      ]);
      before = ids;
      await sleep(frameMs);
    },
    finish(answer) {
      const text = answer === "" ? EMPTY_ANSWER : answer;
      region.draw(layOutCells(textCells(text, "settled"), width, painter));
      region.finish();
    },
    abandon: () => {
      region.finish();
    },
  };
}

function answerPainter(enabled: boolean): Painter {
  const colors = pc.createColors(enabled);
  return {
    mask: colors.dim,
    fresh: (text) => colors.bold(colors.green(text)),
    settled: (text) => text,
  };
}
