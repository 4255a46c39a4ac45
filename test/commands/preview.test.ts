/** @file `dllm preview`: what training sees, and what is said when something is off. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import type { Preview } from "../../src/report/preview-view.js";
import { fakeIo } from "../support/recipes.js";

let directory: string;
const conversation = (question: string, answer: string): string =>
  JSON.stringify({
    messages: [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ],
  }) + "\n";
const words = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
const sentence = (i: number): string => `${words[i % 8]} and ${words[(i * 3 + 1) % 8]}`;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-preview-test-"));
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
  const numbers = Array.from({ length: 40 }, (_, i) => i);
  write("text.jsonl", numbers.map((i) => `{"text": "${sentence(i)}"}\n`).join(""));
  write(
    "chat.jsonl",
    numbers.map((i) => conversation(sentence(i), `It is ${sentence(i)}.`)).join(""),
  );
  write("odd.jsonl", `${conversation("é🙂?", "1\t2")}{"messages": 3}\n`);
  write(
    "r.yaml",
    `name: small
seed: 7
model: {config: {hidden_size: 64, num_attention_heads: 4}}
tokenizer: {train: {vocab_size: 400, dataset_args: text.jsonl + chat.jsonl}}
pretrain: {dataset_args: text.jsonl, max_length: 16, max_steps: 2}
sft: {dataset_args: chat.jsonl, max_length: 128, per_device_train_batch_size: 8}
`,
  );
});
afterAll(() => rmSync(directory, { recursive: true }));

async function preview(...args: string[]): Promise<string> {
  const io = fakeIo();
  const exitCode = await runCli(["preview", join(directory, "r.yaml"), ...args], io);
  return exitCode === 0 ? io.stdout() : `exit ${exitCode}\n${io.stderr()}`;
}
const asJson = async (...args: string[]): Promise<Preview> =>
  JSON.parse(await preview("--json", ...args)) as Preview;
const warnings = async (...args: string[]): Promise<readonly string[]> =>
  (await asJson("--stage", "sft", "--rows", "0", ...args)).stages[0]!.warnings;

test("in the terminal, without colour", async () => {
  expect(await preview("--rows", "1")).toMatchInlineSnapshot(`
    "Preview of small
    legend:  prompt  trained  template  padding  ▒ masked  * also trained  ⏎ newline

    pretrain: text in chunks of 16, linear schedule
      text.jsonl: all 40 rows
        40 kept, 0 dropped; 160 tokens, 100 % of them trained
        lengths 4 █ 7: median 4, longest 4 tokens
      these rows make 10 chunks; 0 % of the tokens are dropped

      row 1: text.jsonl, chunk 5  16 tokens, 16 trained
        trained     one and two
        template*   [PAD]
        trained     two and five
        template*   [PAD]
        trained     three and eight
        template*   [PAD]
        trained     four and three
        template*   [PAD]
        t = 0.1     mask ratio 0.1: 0 of 16 masked, loss weight 10
                    one and two[PAD]two and five[PAD]three and eight[PAD]four and th
                    ree[PAD]
        t = 0.5     mask ratio 0.5: 7 of 16 masked, loss weight 2
                    ▒▒ two[PAD]▒ and five[PAD]▒ and eight[PAD]▒▒▒[PAD]
        t = 0.9     mask ratio 0.9: 15 of 16 masked, loss weight 1.111
                    ▒▒▒▒▒▒▒▒▒▒ eight▒▒▒▒▒

    sft: conversations up to 128 tokens, linear schedule
      chat.jsonl: all 40 rows
        40 kept, 0 dropped, 0 truncated; 1,120 tokens, 39.3 % of them trained
        lengths 16 █ 31: median 28, longest 28 tokens
      in batches of 8, padding is 0 % of what is trained

      row 1: chat.jsonl, chat.jsonl:38  28 tokens, 11 trained
        template    [Question]⏎
        prompt      six and one
        template    ⏎[/Question]⏎⏎[Answer]⏎
        trained     It is six and one.
        template*   ⏎[/Answer]⏎⏎
        t = 0.1     mask ratio 0.1: 1 of 11 masked, loss weight 10
                    It is six and one.⏎▒Answer]⏎⏎
        t = 0.5     mask ratio 0.5: 7 of 11 masked, loss weight 2
                    ▒ is▒▒▒▒⏎▒Answer]▒
        t = 0.9     mask ratio 0.9: 11 of 11 masked, loss weight 1.111
                    ▒▒▒▒▒▒▒▒▒▒▒
    "
  `);
});

test("each token once, its role and whether it is trained", async () => {
  const [stage] = (await asJson("--stage", "sft", "--rows", "2")).stages;
  for (const { tokens, masks } of stage!.rows) {
    const text = (only: (token: (typeof tokens)[number]) => boolean): string =>
      tokens
        .filter(only)
        .map((token) => token.text)
        .join("");
    const prompt = text(({ kind, trained }) => kind === "content" && !trained);
    expect(text(({ kind, trained }) => kind === "content" && trained)).toBe(`It is ${prompt}.`);
    expect(text(({ kind }) => kind === "template")).toBe(
      "[Question]\n\n[/Question]\n\n[Answer]\n\n[/Answer]\n\n",
    );
    // Padding is trained: it is how a model learns to end an answer.
    expect(tokens.every(({ kind, trained }) => kind !== "padding" || trained)).toBe(true);
    expect(masks.map(({ t, maskRatio }) => [t, maskRatio.toFixed(3)])).toEqual([
      [0.1, "0.100"],
      [0.5, "0.500"],
      [0.9, "0.900"],
    ]);
    const [early, middle, late] = masks.map(({ positions }) => new Set(positions));
    for (const position of early!) expect(middle).toContain(position);
    for (const position of middle!) expect(late).toContain(position);
    for (const position of late!) expect(tokens[position]!.trained).toBe(true);
  }
});

test("masks follow the schedule, rows and masks the seed", async () => {
  const cosine = await asJson("--set", "mask.schedule=cosine", "--stage", "sft");
  expect(cosine.stages[0]!.rows[0]!.masks[1]!.maskRatio).toBeCloseTo(Math.SQRT1_2, 6);
  const [first, again, other] = await Promise.all([
    preview("--seed", "1"),
    preview("--seed", "1"),
    preview("--seed", "2"),
  ]);
  expect(again).toBe(first);
  expect(other).not.toBe(first);
});

test("characters of several tokens and control characters", async () => {
  const { stages } = await asJson(
    ...["--set", `sft.dataset_args=odd.jsonl[train:1]`, "--stage", "sft"],
  );
  const { tokens } = stages[0]!.rows[0]!;
  const content = tokens.filter(({ kind }) => kind === "content");
  expect(content.map(({ text }) => text).join("")).toBe("é🙂?1\t2");
  expect(content.filter(({ text }) => text === "").length).toBeGreaterThan(0);
});

test("a sample says that it is one", async () => {
  const [source] = (await asJson("--sample", "10", "--stage", "sft")).stages[0]!.sources;
  expect(source).toMatchObject({ sampledRows: 10, isWhole: false, keptRows: 10 });
  expect(await preview("--sample", "10")).toContain("chat.jsonl: a sample: the first 10 rows");
  expect(await preview("--sample", "40")).toContain("chat.jsonl: all 40 rows");
});

test("nothing is odd about good data", async () => {
  expect(await warnings()).toEqual([]);
});

test.each([
  [
    "everything dropped",
    ["sft.max_length=10"],
    [
      /^chat\.jsonl: 40 of 40 rows \(100 %\) are dropped: too long for max_length 10$/,
      /^nothing is trained: none of 0 tokens; the labels of all 0 rows are masked/,
    ],
  ],
  [
    "everything truncated",
    ["sft.max_length=20"],
    [
      /^chat\.jsonl: 40 of 40 rows \(100 %\) are cut at max_length 20 \(median \d+ tokens, longest \d+\)$/,
    ],
  ],
  [
    "a template without an end marker",
    ['tokenizer.chat_template="{% for m in messages %}{{ m.content }} {% endfor %}"'],
    [
      /^the chat template writes no end marker after the answer in 40 of 40 rows \(100 %\): only the padding/,
    ],
  ],
  [
    "bad rows",
    ["sft.dataset_args=odd.jsonl"],
    [
      /^odd\.jsonl: 1 of 2 rows \(50 %\) are bad$/,
      /^bad row: .*odd\.jsonl:2: "messages" is not a list/,
    ],
  ],
])("%s", async (_, set, expected) => {
  const found = await warnings(...set.flatMap((each) => ["--set", each]));
  for (const pattern of expected) {
    expect(found).toContainEqual(expect.stringMatching(pattern));
  }
});

test("chunks: an end of text is of the template, a dropped tail is counted", async () => {
  const { stages } = await asJson("--stage", "pretrain", "--set", "pretrain.max_length=100");
  const [stage] = stages;
  expect(stage!.chunks!.droppedShare).toBeGreaterThan(0);
  const ends = stage!.rows[0]!.tokens.filter(({ kind }) => kind === "template");
  expect(ends.length).toBeGreaterThan(0);
  expect(new Set(ends.map(({ text }) => text))).toEqual(new Set(["[PAD]"]));
});

test("a page that needs nothing but itself and escapes what is not ours", async () => {
  const file = join(directory, "preview.html");
  const evil = '<img src=x onerror="alert(1)">';
  writeFileSync(join(directory, "evil.jsonl"), conversation(evil, "no"));
  const set = ["--set", "sft.dataset_args=evil.jsonl", "--stage", "sft"];
  expect(await preview("--html", file, ...set)).toBe("");
  const page = readFileSync(file, "utf8");
  expect(page).toContain("default-src 'none'");
  expect(page).not.toMatch(/<img|<script|https?:|onerror="/);
  expect(page).toContain('class="tok template');
  expect(page.match(/type="radio"/g)).toHaveLength(4);
});

test("an unknown stage", async () => {
  expect(await preview("--stage", "eval")).toBe(
    'exit 2\nerror: "eval" is no training of small\n  expected one of: pretrain, sft\n',
  );
});
