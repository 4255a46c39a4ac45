/** @file The eval stage on a tiny random model: outputs, figures, stop and resume. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import type { JsonObject } from "../../src/base/json.js";
import { chatRow } from "../../src/data/chat-rows.js";
import type { ChatMessage } from "../../src/data/chat-template.js";
import { writeDatasetInfo, writeTokenSplit } from "../../src/data/token-dataset.js";
import { loadTokenizer } from "../../src/data/tokenizer.js";
import type { AnswerSample } from "../../src/evaluate/exact-match.js";
import type { EvalResult } from "../../src/evaluate/result.js";
import type { EvalParams } from "../../src/plan/params.js";
import { StageStopped, type MetricRecord } from "../../src/plan/stage.js";
import { run } from "../../src/stages/eval.js";
import { stageContext, withoutCheckpoints } from "../support/stage-context.js";
import { writeModelDirectory } from "../support/model-directory.js";

const params: EvalParams = {
  eval: {
    tasks: ["heldout_likelihood", "exact_match"],
    limit: -1,
    batch_size: 2,
    mc_num: 4,
    prompt_special_tokens: false,
  },
  sampler: {
    max_new_tokens: 4,
    block_size: 4,
    steps: 2,
    temperature: 0,
    remasking: "low_confidence",
    stochastic_transfer: false,
    cfg_scale: 0,
    attention_mask: "row",
  },
  mask: {
    schedule: "linear",
    time_epsilon: 1e-3,
    loss_weight_type: "scheduler",
    loss_norm_type: "token",
  },
  seed: 1,
};

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "dllm-eval-"));
  await writeModelDirectory(join(root, "model"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Writes the prepared data of some questions. */
async function prepare(task: "chat" | "text", rows: readonly (JsonObject & { q: string })[]) {
  const tokenizer = await loadTokenizer(join(root, "model"));
  const conversations = rows.map(({ q, ...rest }) => ({
    ...rest,
    messages: [
      { role: "user", content: q },
      { role: "assistant", content: `${q}!` },
    ] satisfies ChatMessage[],
  }));
  const data = join(root, "data");
  await mkdir(data);
  const tokens = conversations.map(({ messages }) =>
    chatRow(messages, tokenizer, { maskPromptLoss: true }),
  );
  await writeTokenSplit(data, "test", tokens);
  await writeFile(
    join(data, "test.jsonl"),
    conversations.map((row) => JSON.stringify(row) + "\n").join(""),
  );
  await writeDatasetInfo(data, {
    schema: 1,
    task,
    splits: { test: { rows: rows.length, tokens: tokens.flatMap(({ ids }) => ids).length } },
    padding: "trainable",
    max_length: 512,
    vocab_size: tokenizer.vocabSize,
    pad_id: tokenizer.padId,
  });
}

/** A stage context over directories; `stopAfter` asks to stop at that many progress reports. */
function evaluation(name: string, { stopAfter = Infinity, given = params } = {}) {
  const outputDirectory = join(root, name);
  const metrics: MetricRecord[] = [];
  const saved: { step: number; directory: string }[] = [];
  let reports = 0;
  const context = stageContext(
    { kind: "eval", params: given },
    {
      input: (input) => join(root, input),
      outputDirectory,
      checkpoints: {
        ...withoutCheckpoints,
        async save(step, write) {
          const directory = join(root, `step-${step}`);
          await mkdir(directory, { recursive: true });
          await write(directory);
          saved.push({ step, directory });
        },
        latest: () => Promise.resolve(saved.at(-1)),
      },
      metric: (record) => void metrics.push(record),
      progress: () => void reports++,
      stop: {
        get requested() {
          return reports >= stopAfter;
        },
      },
    },
  );
  return {
    context,
    metrics,
    saved,
    read: (file: string) => readFile(join(outputDirectory, file), "utf8"),
  };
}

const questions = [
  { q: "a", skill: "echo" },
  { q: "longer question", skill: "echo" },
  { q: "b", skill: "other" },
  { q: "c" },
  { q: "some more", skill: "other" },
];

describe("eval stage", () => {
  test("writes results and samples, and the same after a stop at any batch", async () => {
    await prepare("chat", questions);
    const whole = evaluation("whole");
    const figures = await run(whole.context);

    const results = JSON.parse(await whole.read("results.json")) as EvalResult[];
    expect(results.map(({ task, metric, n }) => [task, metric, n])).toEqual([
      ["heldout_likelihood", "nll", 5],
      ["heldout_likelihood", "ppl", 5],
      ["exact_match", "exact_match", 5],
      ["exact_match:echo", "exact_match", 2],
      ["exact_match:other", "exact_match", 2],
    ]);
    expect(figures["nll"]).toBe(results[0]!.value);
    expect(results[0]!.value).toBeGreaterThan(1);
    expect(figures["exact_match:echo"]).toBe(0);
    expect(results[2]!.protocol).toBe(
      "max_new_tokens 4, steps 2, block_size 4, temperature 0, low_confidence, stripped answers equal",
    );
    expect(whole.metrics).toEqual([{ step: 10, ...figures }]);

    const lines = (await whole.read("samples.jsonl")).trimEnd().split("\n");
    const samples = lines.map((line) => JSON.parse(line) as AnswerSample);
    expect(samples.map(({ prompt, expected }) => [prompt, expected])).toEqual(
      questions.map(({ q }) => [q, `${q}!`]),
    );
    expect(samples.some(({ text }) => text !== "")).toBe(true);

    let stops = 0;
    for (let stopAfter = 1; ; stopAfter++) {
      const stopped = evaluation(`stopped-${stopAfter}`, { stopAfter });
      try {
        await run(stopped.context);
        break;
      } catch (error) {
        expect(error).toBeInstanceOf(StageStopped);
        stops++;
      }
      const resumed = {
        ...stopped.context,
        stop: { requested: false },
      };
      await run(resumed);
      expect(await stopped.read("results.json")).toBe(await whole.read("results.json"));
      expect(await stopped.read("samples.jsonl")).toBe(await whole.read("samples.jsonl"));
    }
    expect(stops).toBeGreaterThan(3);
  });

  test("prompts and attention mask are those of its parameters", async () => {
    await prepare("chat", questions);
    const given: EvalParams = {
      ...params,
      eval: { ...params.eval, tasks: ["exact_match"], prompt_special_tokens: true },
      sampler: { ...params.sampler, attention_mask: "not_eos" },
    };
    const { context, read } = evaluation("output", { given });
    await run(context);
    const [result] = JSON.parse(await read("results.json")) as EvalResult[];
    expect(result!.protocol).toContain("attention_mask not_eos, prompt in special tokens");
  });

  test("says what is wrong with its data", async () => {
    await prepare("text", [{ q: "a" }]);
    const { context } = evaluation("output");
    await expect(run(context)).rejects.toThrow(
      new DllmError("exact_match needs conversations, but the prepared data is text", {
        exitCode: 65,
        details: ["evaluate on the data of an sft section, or drop exact_match from eval.tasks"],
      }),
    );
    await rm(join(root, "data"), { recursive: true });
    await prepare("chat", [{ q: "a" }]);
    await writeFile(join(root, "data", "test.jsonl"), "");
    await expect(run(context)).rejects.toThrow("0 rows, expected 1");
  });
});
