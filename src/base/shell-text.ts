/** @file Commands as text that a POSIX shell reads back as the same arguments. */

/** An argument vector, and the same as one line for a shell. */
export interface Command {
  argv: readonly string[];
  text: string;
}

/** Needs no quotes in any shell, wherever it stands: a word with an equals sign would assign. */
const PLAIN = /^(?:--[A-Za-z0-9_-]+=)?[A-Za-z0-9_@%+:,./-]+$/;

/** Returns an argument as a shell reads it: as it is, or in single quotes. */
export function shellQuote(argument: string): string {
  return PLAIN.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}

/** Returns a command's arguments with their text in one line. */
export function makeCommand(argv: readonly string[]): Command {
  return { argv, text: argv.map(shellQuote).join(" ") };
}

const INDENT = "    ";

/**
 * Returns a command as lines of at most `width` columns, each but the last ending in a backslash.
 * A flag stays with its value; what is longer than a line has one for itself.
 */
export function shellLines(argv: readonly string[], width: number): string[] {
  const units: string[] = [];
  for (const argument of argv) {
    const quoted = shellQuote(argument);
    const flag = units.at(-1);
    const isValue = flag !== undefined && /^--[^ =]+$/.test(flag) && !argument.startsWith("--");
    if (isValue) units[units.length - 1] = `${flag} ${quoted}`;
    else units.push(quoted);
  }
  const lines: string[] = [];
  let line = "";
  for (const unit of units) {
    const longer = line === "" ? unit : `${line} ${unit}`;
    if (line !== "" && longer.length + 2 > width) {
      lines.push(`${line} \\`);
      line = INDENT + unit;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}
