/**
 * @file docs/report-commands.md shows each published command and what dllm makes of the same
 * settings. `npx vitest run test/report-commands-page.test.ts -u` writes it.
 */
import { format } from "prettier";
import { expect, test } from "vitest";
import { normalise, splitCommand } from "./support/normalised-command.js";
import { publishedCommands, type PublishedCommand } from "./support/reference-commands.js";

const titles: Readonly<Record<string, string>> = {
  report: "The report",
  "README@aeab2042": "The reference's README at the report's commit (aeab2042)",
  "README@ca17675": "The reference's README (ca17675)",
  "eval.slurm.sh@aeab2042": "The report's evaluations (scripts/eval.slurm.sh, aeab2042)",
  "eval.sh@ca17675": "The reference's evaluations (examples/bert/eval.sh, ca17675)",
};

const fenced = (text: string): string => `\`\`\`sh\n${text.trim()}\n\`\`\``;

/** Flags and their values, and the words between them; the parts of an evaluation's model. */
function pieces(argv: readonly string[]): string[] {
  const found: string[] = [];
  for (const word of argv) {
    const isValue = !word.startsWith("--") && /^--[^ =]+$/.test(found.at(-1) ?? "");
    if (isValue) found.push(`${found.pop()!} ${word}`);
    else found.push(word);
  }
  const isModel = /^--model_args /;
  return found.flatMap((piece) => (isModel.test(piece) ? piece.slice(13).split(",") : piece));
}

/** Says how the emitted command is written otherwise; empty where it is the published one. */
function difference({ published, emitted, edition }: PublishedCommand): string {
  const argv = splitCommand(published);
  expect(normalise(emitted.argv, edition)).toEqual(normalise(argv, edition));
  const [theirs, ours] = [pieces(argv), pieces(emitted.argv)];
  if (ours.join("\n") === theirs.join("\n")) return "";
  const only = (some: string[], others: string[]): string =>
    some
      .filter((piece) => !others.includes(piece))
      .map((piece) => `\`${piece}\``)
      .join(", ");
  const parts = [
    ["published", only(theirs, ours)],
    ["emitted", only(ours, theirs)],
  ].filter(([, list]) => list !== "");
  if (parts.length === 0) return "in another order";
  return parts.map(([side, list]) => `only ${side}: ${list}`).join("; ");
}

const row = (command: PublishedCommand): string =>
  `| ${command.name} | ${difference(command).replaceAll("|", "\\|") || "the same"} |`;

function details(command: PublishedCommand): string[] {
  const { name, published, emitted } = command;
  if (difference(command) === "") return [`### ${name}`, fenced(emitted.text)];
  return [`### ${name}`, "Published:", fenced(published), "Emitted:", fenced(emitted.text)];
}

const section = (source: string): string[] => {
  const commands = publishedCommands.filter((command) => command.source === source);
  return [
    `## ${titles[source]}`,
    ["| command | emitted |", "| --- | --- |", ...commands.map(row)].join("\n"),
    ...commands.flatMap(details),
  ];
};

test("the page shows every published command beside the emitted one", async () => {
  const page = [
    "# The published commands, and what dllm emits",
    "`dllm plan` shows the command line of the reference for each stage that `hardware.engine: " +
      "accelerate` hands to it. Below is each command that the report and the reference published " +
      "beside what a recipe with the same settings gives. All do the same: what only one of them " +
      "writes is the reference's default, or where the output goes.",
    ...Object.keys(titles).flatMap(section),
  ];
  const text = await format(page.join("\n\n"), { parser: "markdown", printWidth: 100 });
  await expect(text).toMatchFileSnapshot("../docs/report-commands.md");
});
