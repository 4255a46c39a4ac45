/** @file The train stage from a recipe's model section to a model directory, for each family. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readJson } from "../../src/base/fs.js";
import type { JsonObject } from "../../src/base/json.js";
import { modelFamilyNames } from "../../src/base/model-config.js";
import { writeDatasetInfo, writeTokenSplit } from "../../src/data/token-dataset.js";
import { loadTokenizer } from "../../src/data/tokenizer.js";
import { readModel } from "../../src/model/model-directory.js";
import type { TrainParams } from "../../src/plan/params.js";
import { planRun } from "../../src/plan/plan.js";
import type { MetricRecord } from "../../src/plan/stage.js";
import { modelConfigFields } from "../../src/recipe/model-fields.js";
import { run } from "../../src/stages/train.js";
import { stageContext, withoutCheckpoints } from "../support/stage-context.js";
import { writeByteTokenizer } from "../support/model-directory.js";
import { fakePins, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

const MAX_LENGTH = 12;
// Beyond the byte tokenizer's padding id, behind which RoBERTa counts.
const POSITIONS = 280;

const recipe = (family: string, positions: number) =>
  SMALL_RECIPE.replace(
    /^model:[^]*(?=^tokenizer)/m,
    `model:
  family: ${family}
  config: {hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 24,
    max_position_embeddings: ${positions}}
`,
  );

async function trainFromScratch(root: string, family: string, positions = POSITIONS) {
  const directory = (name: string) => join(root, name);
  await writeByteTokenizer(directory("tokenizer"));
  const tokenizer = await loadTokenizer(directory("tokenizer"));
  for (const name of ["data", "output"]) await mkdir(directory(name));
  const rows = Array.from({ length: 8 }, (_, row) => ({
    ids: Array.from({ length: MAX_LENGTH - (row % 3) }, (_, i) => (7 * row + i) % 256),
    promptLength: 0,
  }));
  await writeTokenSplit(directory("data"), "train", rows);
  await writeDatasetInfo(directory("data"), {
    schema: 1,
    task: "text",
    splits: { train: { rows: rows.length, tokens: rows.flatMap(({ ids }) => ids).length } },
    padding: "masked",
    max_length: MAX_LENGTH,
    vocab_size: tokenizer.vocabSize,
    pad_id: tokenizer.padId,
  });
  const { stages } = planRun({
    loaded: smallRecipe(recipe(family, positions), [
      "pretrain.max_steps=2",
      "pretrain.logging_steps=1",
      "pretrain.per_device_train_batch_size=4",
    ]),
    ...fakePins(),
    cores: 1,
    existing: () => undefined,
    previous: undefined,
  });
  const { params } = stages.find(({ id }) => id === "pretrain")!;
  const records: MetricRecord[] = [];
  const kept: (number | undefined)[] = [];
  const context = stageContext(
    { kind: "pretrain", params },
    {
      input: directory,
      outputDirectory: directory("output"),
      checkpoints: {
        ...withoutCheckpoints,
        save: (_step, _write, options) => {
          kept.push(options?.keep);
          return Promise.resolve();
        },
      },
      metric: (record) => records.push(record),
    },
  );
  const figures = await run(context);
  expect(new Set(kept)).toEqual(
    new Set([(params as unknown as TrainParams).train.save_total_limit]),
  );
  return {
    figures,
    records,
    params: params as unknown as TrainParams,
    output: directory("output"),
  };
}

test.each(modelFamilyNames)("%s from scratch: the model that the recipe describes", (family) =>
  inTemporaryDirectory(async (root) => {
    const { figures, records, params, output } = await trainFromScratch(root, family);
    expect(records.filter(({ loss }) => typeof loss === "number" && loss > 0)).toHaveLength(2);

    const config = readJson(join(output, "config.json")) as JsonObject;
    expect(config).toMatchObject({
      model_type: family,
      vocab_size: 258,
      pad_token_id: 256,
      hidden_size: 16,
      max_position_embeddings: POSITIONS,
    });
    const { model } = params;
    if (model.source !== "scratch") throw new Error("the model is not from scratch");
    // All that the family has, except what the tokenizer decides.
    const keys = Object.keys(modelConfigFields[family]).filter((key) => key !== "vocab_size");
    expect(Object.keys(model.config).sort()).toEqual(keys.sort());
    expect(config).toMatchObject(model.config);
    const { parameters } = await readModel(output);
    expect(parameters).toHaveLength(figures["parameters"] as number);
    expect(parameters.every(Number.isFinite)).toBe(true);
  }),
);

test("RoBERTa's positions behind a tokenizer's large padding id must reach", () =>
  inTemporaryDirectory(async (root) => {
    await expect(trainFromScratch(root, "roberta", 257)).rejects.toThrow(
      "max_position_embeddings 257 leaves no position beside pad_token_id 256",
    );
  }));
