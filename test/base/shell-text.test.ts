import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { randomStream } from "../../src/base/random.js";
import { makeCommand, shellLines, shellQuote } from "../../src/base/shell-text.js";

/** What bash makes of a text: the arguments that a command gets. */
function bashArguments(text: string): string[] {
  const { stdout, status } = spawnSync("bash", ["-c", `printf '%s\\0' ${text}`], {
    encoding: "utf8",
  });
  expect(status).toBe(0);
  return stdout.split("\0").slice(0, -1);
}

const hostile = [
  "",
  "a",
  "a b",
  "it's",
  '"quoted"',
  "$HOME `id` $(id)",
  "a\nb\tc",
  "*?[a-z]{1,2}",
  "~",
  "~root",
  "A=B",
  "=x",
  "-n",
  "--flag=a b",
  "!history",
  "\\",
  "a\\\nb",
  "#x",
  "ä→🙂",
  "x;y&z|w<v>u(t)",
  "allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk",
];

test("bash reads every argument back as it is", () => {
  expect(bashArguments(hostile.map(shellQuote).join(" "))).toEqual(hostile);
  const stream = randomStream({ seed: 3, purpose: "order" });
  const alphabet = [..." '\"\\$`!*?[]{}()<>|&;#~=-\n\tazAZ09_@%+:,./ä"];
  const random = Array.from({ length: 500 }, () =>
    Array.from({ length: stream.below(12) }, () => alphabet[stream.below(alphabet.length)]!).join(
      "",
    ),
  );
  expect(bashArguments(random.map(shellQuote).join(" "))).toEqual(random);
  // Printed over several lines, a command is still the same command.
  for (const width of [1, 20, 80]) {
    expect(bashArguments(shellLines(random, width).join("\n"))).toEqual(random);
  }
});

test("what is plain stays plain", () => {
  const { text } = makeCommand(["sbatch", "--gres=gpu:8", "a/b.sh", "--lr", "1e-4", "a|b"]);
  expect(text).toBe("sbatch --gres=gpu:8 a/b.sh --lr 1e-4 'a|b'");
  // A first word with an equals sign would be an assignment.
  expect(makeCommand(["A=B"]).text).toBe("'A=B'");
});

test("lines keep flags with their values", () => {
  const argv = ["accelerate", "launch", "--num_processes", "8", "pt.py", "--insert_eos", "False"];
  expect(shellLines(argv, 40)).toEqual([
    "accelerate launch --num_processes 8 \\",
    "    pt.py --insert_eos False",
  ]);
  expect(shellLines(argv, 200)).toEqual([
    "accelerate launch --num_processes 8 pt.py --insert_eos False",
  ]);
});
