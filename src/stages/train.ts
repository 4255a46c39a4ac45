/**
 * @file The `pretrain` and `sft` stages (inputs `data`, `tokenizer`, and `model` unless from
 * scratch). Output: a model directory in Hugging Face layout. They differ in their data only:
 * a chat dataset has prompts that are not masked and padding that is.
 */
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { makeDirectory } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { openTokenDataset, readDatasetInfo } from "../data/token-dataset.js";
import { tokenizerFiles } from "../data/tokenizer-files.js";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.js";
import { copyFiles, readModel, writeModel } from "../model/model-directory.js";
import { initialiseParameters, layOut } from "../model/parameters.js";
import { modelFamilies, parseArchitecture, type Architecture } from "../model/registry.js";
import type { TrainParams } from "../plan/params.js";
import { StageStopped, type StageContext, type StageImplementation } from "../plan/stage.js";
import { readTrainingState, writeTrainingState, type TrainingState } from "../train/checkpoint.js";
import { emptyFigures, trainModel } from "../train/loop.js";
import { createAdamWState } from "../train/optimizer.js";
import { engineOptions } from "./engine-options.js";
import { keptModel, modelInput } from "./model-input.js";
import { openTrainingRows } from "./training-rows.js";

/** Trains a model on prepared data. */
export const run: StageImplementation = async (context) => {
  const { job } = context;
  const params = job.params as unknown as TrainParams;
  const tokenizer = await loadTokenizer(context.input("tokenizer"));
  const { architecture, parameters } = await startingPoint(context, params, tokenizer);
  const dataset = await readDatasetInfo(context.input("data"));
  checkFits(job.id, architecture, tokenizer, dataset);

  const layout = layOut(architecture.family.parameters(architecture.config));
  const test = (dataset.splits["test"]?.rows ?? 0) > 0;
  const latest = await context.checkpoints.latest();
  const rows = await openTrainingRows(context, dataset, latest?.directory);
  const state: TrainingState = latest
    ? await readTrainingState(latest.directory, layout)
    : { step: 0, parameters, optimizer: createAdamWState(layout), figures: emptyFigures() };
  context.log(`${layout.size} parameters, ${rows.description}, starting after step ${state.step}`);

  const { stopped, figures } = await trainModel({
    architecture,
    state,
    train: rows.train,
    ...(test && { test: await openTokenDataset(context.input("data"), "test") }),
    mask: params.mask,
    settings: params.train,
    microBatchRows: job.hardware.microBatchRows ?? params.train.batch_size,
    seed: params.seed,
    maskId: tokenizer.maskId,
    padId: tokenizer.padId,
    engine: engineOptions(job.hardware),
    stage: job.id,
    hooks: {
      record: (record) => context.metric(record),
      progress: (done, total, message) => context.progress({ done, total, unit: "step", message }),
      checkpoint: (current) =>
        context.checkpoints.save(
          current.step,
          async (directory) => {
            await writeTrainingState(directory, layout, current);
            await rows.writePosition(directory);
          },
          { keep: params.train.save_total_limit, pinned: params.train.keep_steps },
        ),
      stopRequested: () => context.stop.requested,
      saveRequested: () => context.saveNow?.requested ?? false,
      now: () => performance.now(),
    },
  }).finally(() => rows.close());
  if (stopped) throw new StageStopped(`stopped after step ${state.step}`);

  await writeModel(context.outputDirectory, architecture, state.parameters);
  await copyFiles(context.input("tokenizer"), context.outputDirectory, tokenizerFiles);
  for (const step of params.train.keep_steps.filter((each) => each <= state.step)) {
    const directory = join(context.outputDirectory, keptModel(step));
    await makeDirectory(directory);
    const kept = await readTrainingState(await context.checkpoints.pinned(step), layout);
    await writeModel(directory, architecture, kept.parameters);
    await copyFiles(context.input("tokenizer"), directory, tokenizerFiles);
  }
  return { parameters: layout.size, steps: state.step, ...figures };
};

async function startingPoint(
  context: StageContext,
  { model, seed }: TrainParams,
  tokenizer: Tokenizer,
): Promise<{ architecture: Architecture; parameters: Float32Array }> {
  if (model.source === "input") return readModel(modelInput(context, model.step));
  const json: JsonObject = modelFamilies[model.family].completeConfig(model.config, {
    vocabSize: tokenizer.vocabSize,
    padId: tokenizer.padId,
    bosId: tokenizer.bosId,
    eosId: tokenizer.eosId,
    clsId: tokenizer.idOf("[CLS]"),
    sepId: tokenizer.idOf("[SEP]"),
  });
  const architecture = parseArchitecture(json);
  const layout = layOut(architecture.family.parameters(architecture.config));
  return { architecture, parameters: initialiseParameters(layout, seed) };
}

function checkFits(
  stage: string,
  { config }: Architecture,
  tokenizer: Tokenizer,
  data: { max_length: number },
): void {
  const fail = (message: string, hint: string): never => {
    throw new DllmError(`stage ${stage}: ${message}`, {
      exitCode: ExitCode.invalidInput,
      details: [hint],
    });
  };
  if (tokenizer.vocabSize > config.vocabSize) {
    fail(
      `the tokenizer has ids up to ${tokenizer.vocabSize - 1}, the model's vocab_size is ${config.vocabSize}`,
      "bring the tokenizer that belongs to the model, or raise model.config.vocab_size",
    );
  }
  if (data.max_length > config.maxPositions) {
    fail(
      `rows have up to ${data.max_length} tokens, the model's max_position_embeddings is ${config.maxPositions}`,
      "lower max_length",
    );
  }
}
