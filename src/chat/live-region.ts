/** @file A few lines at the bottom of a terminal that are drawn over again in place. */

export interface LiveRegion {
  /** Replaces what was drawn before. No line may be as wide as the terminal. */
  draw(lines: readonly string[]): void;
  /** Leaves what is drawn where it is, and the cursor on a fresh line below. */
  finish(): void;
}

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const CLEAR_BELOW = "\u001b[J";

/** Returns a region that starts at the cursor, which must be at the start of a line. */
export function createLiveRegion(write: (text: string) => void): LiveRegion {
  let height = 0;
  return {
    draw(lines) {
      const up = height > 1 ? `\u001b[${height - 1}A` : "";
      write(`${height === 0 ? HIDE_CURSOR : ""}\r${up}${CLEAR_BELOW}${lines.join("\n")}`);
      height = lines.length;
    },
    finish() {
      if (height > 0) write(`\n${SHOW_CURSOR}`);
      height = 0;
    },
  };
}
