import { expect, test } from "vitest";
import { inGib } from "../../src/plan/estimate.js";
import { trainingDetails, type DetailInputs } from "../../src/plan/stage-details.js";
import { loadRecipe } from "../../src/recipe/load.js";
import { normalise } from "../support/normalised-command.js";
import { publishedCommands } from "../support/reference-commands.js";

/** Where the published commands of the report write their models. */
const published: Readonly<Record<string, string>> = {
  "pretrain-wikitext": "models/ModernBERT-large/wikitext-103-v1/epochs-20-bs-512-len-512",
  "pretrain-openwebtext": "models/ModernBERT-large/openwebtext/steps-200000-bs-1024-len-1024",
};

async function details(
  file: string,
  set: readonly string[] = [],
  more: Partial<DetailInputs> = {},
) {
  const { recipe } = await loadRecipe(`recipes/${file}.yaml`, { set });
  return trainingDetails({
    recipe,
    outputDirectory: (stage) => published[stage] ?? `models/${stage}`,
    ...more,
  });
}

test.each([
  ["report/wikitext-pretraining", "pretrain", "report: 1 Wikitext pretraining"],
  ["report/openwebtext-pretraining", "pretrain", "report: 2 OpenWebText pretraining"],
  ["report/alpaca-sft", "sft-base", "report: 3 Alpaca SFT from the published model"],
  ["report/alpaca-sft", "sft-wikitext", "report: 4 Alpaca SFT from Wikitext"],
  ["report/alpaca-sft", "sft-openwebtext", "report: 5 Alpaca SFT from OpenWebText"],
  ["modernbert-large-chat", "sft", "report: 6 chat models"],
  ["modernbert-base-chat", "sft", "README@aeab2042: ModernBERT-base-chat-v0"],
  ["report/warmup-alpaca", "sft", "README@ca17675: warm-up: SFT on Alpaca"],
  [
    "report/warmup-shakespeare",
    "pretrain",
    "README@ca17675: warm-up: pretrain on tiny-shakespeare",
  ],
])("the shipped recipe %s, stage %s, is %s", async (file, stage, title) => {
  const command = publishedCommands.find(({ source, name }) => `${source}: ${name}` === title)!;
  const made = await details(file);
  expect(made.problems).toEqual([]);
  // The dataset's owner is named since the hub asks for one.
  const argv = made.details[stage]!.command!.argv.map((word) =>
    word.replace("Salesforce/wikitext", "wikitext"),
  );
  expect(normalise(argv, command.edition)).toEqual(
    normalise(command.emitted.argv, command.edition),
  );
});

test("the chat recipe: engine, estimate and command of its training", async () => {
  const { details: made } = await details("modernbert-large-chat");
  const { sft } = made;
  expect(Object.keys(made)).toEqual(["sft"]);
  expect(sft).toMatchObject({ engineReason: "8 devices", launcherReason: "one node" });
  expect(sft!.estimate).toMatchObject({ parameters: 395_881_664, steps: 49_210 });
  expect(inGib(sft!.estimate!.memory.peakBytes)).toBe("67.7 GiB");
  expect(sft!.estimate!.seconds!.basis).toContain("A100");
});

test("on one device it has no command, and takes accumulation", async () => {
  const one = ["hardware.engine=onnx"];
  const { details: made, problems } = await details("modernbert-large-chat", one, {
    machineMemoryBytes: 16 * 2 ** 30,
    throughputOf: () => ({ kind: "measured", tokensPerSecond: 100, source: "an earlier run" }),
  });
  expect(made["sft"]!.command).toBeUndefined();
  expect(made["sft"]!.words[0]).toBe(
    "1 device instead of 8: accumulation 8 instead of 1, so that a step still has 384 rows",
  );
  expect(made["sft"]!.estimate!.seconds!.basis).toContain("an earlier run");
  expect(problems.map(({ keyPath }) => keyPath)).toEqual(["sft.per_device_train_batch_size"]);
});

test("problems of all stages are found at once", async () => {
  const { problems } = await details("report/alpaca-sft", [
    "mask.schedule=cosine",
    "hardware.device_memory_gib=40",
  ]);
  const paths = problems.map(({ keyPath }) => keyPath);
  // Once for each of the two scripts.
  expect(paths.filter((path) => path === "mask.schedule")).toHaveLength(2);
  expect(paths.filter((path) => path !== "mask.schedule")).toEqual([
    "stages.pretrain-wikitext.per_device_train_batch_size",
    "stages.pretrain-openwebtext.per_device_train_batch_size",
    "stages.sft-base.per_device_train_batch_size",
    "stages.sft-wikitext.per_device_train_batch_size",
    "stages.sft-openwebtext.per_device_train_batch_size",
  ]);
});

test("counted rows make steps, and an unknown model has no estimate", async () => {
  const counted = await details("report/wikitext-pretraining", [], { rowsOf: () => 512 * 100 });
  expect(counted.details["pretrain"]!.estimate!.steps).toBe(2000);
  const unknown = await details("modernbert-large-chat", ["model.name_or_path=my/model"]);
  expect(unknown.details["sft"]!.estimate).toBeUndefined();
  expect(unknown.details["sft"]!.command).toBeDefined();
});
