/**
 * @file What training would see of a recipe's data, from a sample of it: read, tokenised, cut and
 * masked by the code of the stages themselves.
 */
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { makeDirectory, removePath } from "../base/fs.js";
import { pythonStrip, type ChatMessage } from "../data/chat-template.js";
import { epochOrder } from "../data/epoch-order.js";
import type { TokenRow } from "../data/token-dataset.js";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.js";
import { prepareData, prepareTokenizer } from "../plan/prepare-stages.js";
import type { StageContext } from "../plan/stage.js";
import type { Recipe } from "../recipe/schema.js";
import { trainingSections, type TrainingSection } from "../recipe/stage-sections.js";
import type { Preview, PreviewStage } from "../report/preview-view.js";
import { chatStatistics, sum, type DataParams } from "./mix-rows.js";
import { parseDatasets, pinTokenizer } from "./pins.js";
import { run as prepare } from "./prepare.js";
import { chunkRows, chunksOf, keptRows, sourcesOf, tokenizeSamples } from "./preview-mix.js";
import { shownRows, type SampledRow } from "./preview-rows.js";
import { sampleSource, type Sample, type SampleWorld } from "./preview-sample.js";
import { warningsOf } from "./preview-warnings.js";
import { resolveInputs } from "./resolve-inputs.js";

export interface PreviewOptions {
  /** Trainings to show; all where empty. */
  stages: readonly string[];
  /** Rows to show of each. */
  rows: number;
  seed: number;
  log(line: string): void;
}

/**
 * Returns the preview of a recipe's trainings.
 * @throws DllmError 2 for a stage that is no training; RecipeError as the stages would
 */
export async function previewRecipe(world: SampleWorld, options: PreviewOptions): Promise<Preview> {
  const { recipe } = world.loaded;
  const sections = chooseSections(recipe, options.stages);
  const directory = join(tmpdir(), `dllm-preview-${randomUUID()}`);
  await makeDirectory(directory);
  try {
    const tokenizer = await makeTokenizer(world, directory, options.log);
    const stages: PreviewStage[] = [];
    for (const section of sections) {
      stages.push(await previewStage(world, section, { ...options, tokenizer }));
    }
    return { recipe: recipe.name, seed: options.seed, stages };
  } finally {
    await removePath(directory);
  }
}

function chooseSections(recipe: Recipe, wanted: readonly string[]): TrainingSection[] {
  const sections = trainingSections(recipe);
  const known = sections.map(({ id }) => id);
  const unknown = wanted.find((id) => !known.includes(id));
  if (unknown === undefined) {
    return sections.filter(({ id }) => wanted.length === 0 || wanted.includes(id));
  }
  throw new DllmError(`"${unknown}" is no training of ${recipe.name}`, {
    exitCode: ExitCode.usage,
    details: [`expected one of: ${known.join(", ") || "none: the recipe trains nothing"}`],
  });
}

/** Makes the recipe's tokenizer as its stage does. */
async function makeTokenizer(
  { loaded, hub, known }: SampleWorld,
  directory: string,
  log: (line: string) => void,
): Promise<Tokenizer> {
  let pinned = await pinTokenizer(loaded, known);
  const sources = [...Object.values(pinned.pins.datasets).flat(), pinned.pins.tokenizer];
  if (sources.some((source) => source?.hub !== undefined && source.hub.commit === undefined)) {
    pinned = await resolveInputs(loaded, { hub: hub(), known, pin: pinTokenizer });
  }
  const draft = prepareTokenizer({ recipe: loaded.recipe, ...pinned });
  const unused = (): never => {
    throw new Error("a tokenizer needs neither inputs nor checkpoints");
  };
  const context: StageContext = {
    job: {
      schema: 1,
      id: draft.id,
      kind: draft.kind,
      fingerprint: "",
      attempt: 1,
      params: JSON.parse(JSON.stringify(draft.params)) as StageContext["job"]["params"],
      hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 1 },
      locations: pinned.locations,
      inputs: {},
    },
    input: unused,
    outputDirectory: directory,
    checkpoints: { save: unused, pinned: unused, latest: unused },
    metric: unused,
    progress: () => undefined,
    log,
    stop: { requested: false },
  };
  await prepare(context);
  return loadTokenizer(directory);
}

async function previewStage(
  world: SampleWorld,
  section: TrainingSection,
  options: PreviewOptions & { tokenizer: Tokenizer },
): Promise<PreviewStage> {
  const { loaded } = world;
  const { tokenizer } = options;
  const keyPath = `${section.keyPath}.dataset_args`;
  const { parts } = parseDatasets(loaded).find((each) => each.keyPath === keyPath)!;
  const textField = "text_field" in section.settings ? section.settings.text_field : "text";
  const samples: Sample[] = [];
  for (const part of parts) samples.push(await sampleSource(world, part, { keyPath, textField }));

  const pins = { datasets: { [keyPath]: samples.map(({ params }) => params) } };
  const inputs = { recipe: loaded.recipe, pins, locations: {}, cores: 1 };
  const params = prepareData(inputs, section).params as DataParams;
  const mix = tokenizeSamples(samples, tokenizer, params);
  const ids = mix.wheres.map((_, id) => id);
  const rows: SampledRow[] = [
    ...(params.task === "chat" ? keptRows(mix, ids) : chunkRows(mix, ids, params)),
  ];
  const { recipe } = loaded;
  const stage = {
    id: section.id,
    kind: section.kind,
    maxLength: params.max_length,
    schedule: recipe.mask.schedule,
    sources: sourcesOf(mix, ids),
    ...(params.task === "text" && { chunks: chunksOf(mix, ids, rows) }),
    ...(params.task === "chat" && { padding: paddingOf(rows, section, recipe.seed) }),
    rows: shownRows(rows, { ...options, mask: recipe.mask, task: params.task }),
  };
  const { nothing_trained: nothingTrained, prompt_not_prefix: promptNotPrefix } = chatStatistics(
    ids,
    mix.tokens,
  );
  const withoutEnd = rows.filter(
    ({ messages }) => messages !== undefined && !hasEndMarker(tokenizer, messages),
  ).length;
  const found = { nothingTrained, promptNotPrefix, withoutEnd, problems: mix.problems };
  return { ...stage, warnings: warningsOf(stage, found) };
}

/** Padding of the first epoch's batches: it is trained, as the end of answers. */
function paddingOf(rows: readonly TokenRow[], { settings }: TrainingSection, seed: number) {
  const { per_device_train_batch_size: micro, gradient_accumulation_steps: steps } = settings;
  const batchRows = settings.global_batch_size ?? micro * steps;
  const lengths = rows.map(({ ids }) => ids.length);
  const groupByLength = settings.group_by_length;
  const order = epochOrder({ lengths, seed, epoch: 0, groupByLength, batchSize: batchRows });
  let padding = 0;
  for (let start = 0; start < order.length; start += batchRows) {
    const batch = Array.from(order.subarray(start, start + batchRows), (row) => lengths[row]!);
    padding += Math.max(...batch) * batch.length - sum(batch);
  }
  const trained = sum(rows.map((row) => Math.max(0, row.ids.length - row.promptLength)));
  return { batchRows, share: padding === 0 ? 0 : padding / (padding + trained) };
}

function hasEndMarker(tokenizer: Tokenizer, messages: readonly ChatMessage[]): boolean {
  const rendered = pythonStrip(tokenizer.renderChat(messages));
  return !rendered.endsWith(pythonStrip(messages.at(-1)!.content));
}
