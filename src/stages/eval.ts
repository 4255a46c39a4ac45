/**
 * @file The `eval` stage (inputs `model`, `data`). Output: `results.json` (EvalResult list) and,
 * where answers are generated, `samples.jsonl` (AnswerSample per line).
 */
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson, writeFile, writeJson } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { readJsonLines } from "../base/json-lines.js";
import { messagesOf } from "../data/chat-rows.js";
import { openTokenDataset, readDatasetInfo } from "../data/token-dataset.js";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.js";
import { exactMatch, type AnswerSample, type ExactMatchRow } from "../evaluate/exact-match.js";
import { heldoutLikelihood, type HeldoutState } from "../evaluate/heldout-likelihood.js";
import { selectRows, type EvalResult } from "../evaluate/result.js";
import { loadMaskedLm, type MaskedLanguageModel } from "../model/masked-lm.js";
import type { EvalParams } from "../plan/params.js";
import { StageStopped, type StageContext, type StageImplementation } from "../plan/stage.js";
import { engineOptions } from "./engine-options.js";
import { modelInput } from "./model-input.js";

type TaskName = EvalParams["eval"]["tasks"][number];

/** `state.json` of a checkpoint: what each task has done. */
interface SavedState {
  schema: 1;
  /** Rows done over all tasks: the checkpoint's step. */
  done: number;
  tasks: { heldout_likelihood?: HeldoutState; exact_match?: readonly AnswerSample[] };
}

interface TaskInputs {
  params: EvalParams;
  model: MaskedLanguageModel;
  tokenizer: Tokenizer;
  dataDirectory: string;
  saved: SavedState["tasks"];
  /** Reports rows done and total of this task, and what to save. */
  onProgress(done: number, total: number, saved: SavedState["tasks"]): Promise<void>;
}

interface TaskOutput {
  /** Rows evaluated. */
  rows: number;
  results: EvalResult[];
  samples?: AnswerSample[];
}

const STATE_FILE = "state.json";
const CHECKPOINT_INTERVAL_MS = 30_000;

const tasks: Record<TaskName, (inputs: TaskInputs) => Promise<TaskOutput>> = {
  heldout_likelihood: async ({ params, model, tokenizer, dataDirectory, saved, onProgress }) => {
    const dataset = await openTokenDataset(dataDirectory, "test");
    const rows = selectRows(dataset.rows, params.eval.limit);
    const tokens = rows.reduce(
      (sum, row) => sum + dataset.length(row) - dataset.promptLength(row),
      0,
    );
    if (tokens === 0) throw nothingToEvaluate(dataDirectory, "no token to predict");
    const results = await heldoutLikelihood({
      model,
      dataset,
      rows,
      maskId: tokenizer.maskId,
      padId: tokenizer.padId,
      mask: params.mask,
      mcNum: params.eval.mc_num,
      batchSize: params.eval.batch_size,
      seed: params.seed,
      ...(saved.heldout_likelihood && { resume: saved.heldout_likelihood }),
      onProgress: (state) => onProgress(state.done, rows.length, { heldout_likelihood: state }),
    });
    return { results, rows: rows.length };
  },
  exact_match: async ({ params, model, tokenizer, dataDirectory, saved, onProgress }) => {
    const all = await readConversations(dataDirectory);
    const rows = selectRows(all.length, params.eval.limit).map((index) => all[index]!);
    const output = await exactMatch({
      model,
      tokenizer,
      rows,
      promptSpecialTokens: params.eval.prompt_special_tokens,
      sampler: params.sampler,
      batchSize: params.eval.batch_size,
      seed: params.seed,
      ...(saved.exact_match && { resume: saved.exact_match }),
      onProgress: (answers) => onProgress(answers.length, rows.length, { exact_match: answers }),
    });
    return { ...output, rows: rows.length };
  },
};

/** The conversations of the test split. */
async function readConversations(dataDirectory: string): Promise<ExactMatchRow[]> {
  const { task, splits } = await readDatasetInfo(dataDirectory);
  if (task !== "chat") {
    throw new DllmError(`exact_match needs conversations, but the prepared data is ${task}`, {
      exitCode: ExitCode.invalidInput,
      details: ["evaluate on the data of an sft section, or drop exact_match from eval.tasks"],
    });
  }
  const expected = splits["test"]?.rows ?? 0;
  if (expected === 0) throw nothingToEvaluate(dataDirectory, "no row");
  const path = join(dataDirectory, "test.jsonl");
  const { records } = readJsonLines<JsonObject>(path);
  if (records.length !== expected) {
    throw new DllmError(`${path}: ${records.length} rows, expected ${expected}`, {
      exitCode: ExitCode.invalidInput,
      details: ["the prepared data is damaged; run the recipe again to prepare it anew"],
    });
  }
  return records.map((row, index) => {
    const messages = messagesOf(row, `${path}:${index + 1}`);
    const { skill } = row;
    return { index, messages, ...(typeof skill === "string" && { skill }) };
  });
}

function nothingToEvaluate(directory: string, what: string): DllmError {
  return new DllmError(`${directory}: ${what} in the test split`, {
    exitCode: ExitCode.invalidInput,
    details: ["raise test_fraction, or bring a dataset with a test split"],
  });
}

/** Evaluates a model; the figures it returns are named `<metric>` or `<metric>:<skill>`. */
export const run: StageImplementation = async (context) => {
  const params = context.job.params as unknown as EvalParams;
  const modelDirectory = modelInput(context, params.step);
  const dataDirectory = context.input("data");
  const tokenizer = await loadTokenizer(modelDirectory);
  const model = await loadMaskedLm(modelDirectory, engineOptions(context.job.hardware));
  try {
    const checkpoints = await openState(context);
    const allResults: EvalResult[] = [];
    const allSamples: AnswerSample[] = [];
    let doneBefore = 0;
    for (const [number, name] of params.eval.tasks.entries()) {
      const place = `${name} (${number + 1} of ${params.eval.tasks.length})`;
      const {
        rows,
        results,
        samples = [],
      } = await tasks[name]({
        params,
        model,
        tokenizer,
        dataDirectory,
        saved: checkpoints.state.tasks,
        onProgress: async (done, total, saved) => {
          context.progress({ done, total, unit: "row", message: place });
          await checkpoints.update(doneBefore + done, saved);
        },
      });
      doneBefore += rows;
      allResults.push(...results);
      allSamples.push(...samples);
    }
    await writeJson(join(context.outputDirectory, "results.json"), allResults);
    if (allSamples.length > 0) {
      const lines = allSamples.map((line) => JSON.stringify(line) + "\n").join("");
      await writeFile(join(context.outputDirectory, "samples.jsonl"), lines);
    }
    const figures = flatFigures(allResults);
    context.metric({ step: checkpoints.state.done, ...figures });
    return figures;
  } finally {
    await model.dispose();
  }
};

/** `{"nll": …, "exact_match": …, "exact_match:addition": …}` */
function flatFigures(results: readonly EvalResult[]): JsonObject {
  return Object.fromEntries(
    results.map(({ task, metric, value }) => {
      const skill = task.split(":").slice(1).join(":");
      return [skill === "" ? metric : `${metric}:${skill}`, value];
    }),
  );
}

/** The saved state and a function that updates it, saves it now and then, and obeys a stop. */
async function openState(context: StageContext): Promise<{
  state: SavedState;
  update(done: number, tasks: SavedState["tasks"]): Promise<void>;
}> {
  const latest = await context.checkpoints.latest();
  const state = latest
    ? (readJson(join(latest.directory, STATE_FILE)) as SavedState)
    : ({ schema: 1, done: 0, tasks: {} } satisfies SavedState);
  let savedAt = performance.now();
  return {
    state,
    async update(done, progress) {
      state.done = done;
      state.tasks = { ...state.tasks, ...progress };
      const { requested } = context.stop;
      const due = performance.now() - savedAt >= CHECKPOINT_INTERVAL_MS;
      if (!requested && !due && !context.saveNow?.requested) return;
      await context.checkpoints.save(done, (directory) =>
        writeJson(join(directory, STATE_FILE), state),
      );
      savedAt = performance.now();
      if (requested) throw new StageStopped(`stopped after ${done} rows`);
    },
  };
}
