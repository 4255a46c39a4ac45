/** @file `dllm gc` removes from the store what no run refers to. */
import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { ExitCode } from "../base/errors.js";
import { formatBytes } from "../report/format.js";
import { findGarbage, removeGarbage, type Garbage } from "../run/gc.js";
import type { CommandIo, GcCommand } from "./command.js";

export const run: GcCommand = async (_args, { runs, keep, checkpoints, dryRun, yes, json }, io) => {
  const options = { runsRoot: resolve(runs), keep, checkpoints };
  const found = findGarbage(options);
  if (dryRun || found.length === 0) {
    show("would remove", { removed: found, spared: [] }, { json, io });
    return ExitCode.ok;
  }
  if (io.isTty && !yes && !json) {
    for (const garbage of found) io.out(line("remove", garbage));
    if (!(await confirm(`remove ${total(found)}? [y/N] `, io))) return ExitCode.ok;
  }
  show("removed", await removeGarbage(found, options), { json, io });
  return ExitCode.ok;
};

interface Outcome {
  removed: readonly Garbage[];
  spared: readonly Garbage[];
}

function show(
  verb: string,
  { removed, spared }: Outcome,
  { json, io }: { json: boolean; io: CommandIo },
) {
  if (json) {
    const bytes = removed.reduce((sum, each) => sum + each.bytes, 0);
    io.out(JSON.stringify({ bytes, removed, spared }, null, 2));
    return;
  }
  for (const garbage of removed) io.out(line(verb, garbage));
  for (const garbage of spared) io.out(line("in use, kept", garbage));
  io.out(removed.length === 0 ? "nothing to remove" : `${verb} ${total(removed)}`);
}

function line(verb: string, { path, what, bytes }: Garbage): string {
  return `${verb}  ${what}  ${path}  ${formatBytes(bytes)}`;
}

function total(garbage: readonly Garbage[]): string {
  const bytes = garbage.reduce((sum, each) => sum + each.bytes, 0);
  return `${garbage.length} of the store's directories, ${formatBytes(bytes)}`;
}

async function confirm(question: string, io: CommandIo): Promise<boolean> {
  io.write(question);
  const lines = createInterface({ input: io.input });
  try {
    for await (const answer of lines) return /^y(es)?$/i.test(answer.trim());
    return false;
  } finally {
    lines.close();
  }
}
