/** @file A command of ours as the user would type it. */
import { shellQuote } from "../base/shell-text.js";

/** Returns `dllm …` with its arguments, and its options where they are not the default. */
export function commandLine(
  words: readonly string[],
  {
    set = [],
    profiles = [],
    runs,
  }: { set?: readonly string[]; profiles?: readonly string[]; runs: string },
): string {
  // Here an equals sign never begins a command, which is where a shell would assign.
  const quoted = (text: string) => (/^[\w./=:@,+-]+$/.test(text) ? text : shellQuote(text));
  const layers = profiles.flatMap((name) => ["--profile", quoted(name)]);
  const settings = set.flatMap((each) => ["--set", quoted(each)]);
  const root = runs === "runs" ? [] : ["--runs", quoted(runs)];
  return ["dllm", ...words.map(quoted), ...layers, ...settings, ...root].join(" ");
}
