/** @file The stages of a recipe, and which recipe key each of their parameters comes from. */
import type { JsonObject } from "../base/json.js";
import { deepFreeze } from "../base/frozen.js";
import { noMemo, type Memo } from "../base/memo.js";
import {
  isTraining,
  settingsAt,
  type StageSectionOf,
  type TrainingSection,
} from "../recipe/stage-sections.js";
import { runsReference } from "./engine.js";
import { evaluationStages, exportStage } from "./evaluation-stages.js";
import type { ResolvedHardware, ResolvedTrainingHardware } from "./hardware.js";
import { dataParams, prepareData, prepareModel, prepareTokenizer } from "./prepare-stages.js";
import type { StageDraft, StageInputs } from "./stage-draft.js";
import type { StageSpec } from "./stage.js";
import { trainingStage } from "./training-stages.js";

/** A stage with the origin of its parameters: parameter path prefix to recipe key path. */
export interface RecipeStage extends StageSpec {
  origins: Readonly<Record<string, string>>;
}

/** How the stages of a recipe run. */
export interface StageHardwareOf {
  /** Of everything but trainings. */
  other: ResolvedHardware;
  /** By the training's id. */
  training: ReadonlyMap<string, ResolvedTrainingHardware>;
}

/** Returns the stages of a recipe; with a memo, those that it remembers are the same objects. */
export function stagesOfRecipe(
  inputs: StageInputs & { sections: readonly StageSectionOf[] },
  hardware: StageHardwareOf,
  memo: Memo = noMemo,
): RecipeStage[] {
  const { recipe, sections, pins } = inputs;
  const { model, mask, tokenizer, seed } = recipe;
  const trainings = sections.filter(isTraining);
  // The section itself: settings are put together anew for each recipe.
  const written = ({ keyPath }: { keyPath: string }) => settingsAt(recipe, keyPath);
  const drafts: StageDraft[] = [];
  if (pins.model !== undefined) {
    const pinned = pins.model;
    drafts.push(memo("model", [pinned], () => prepareModel(pinned)));
  }
  if (trainings.length > 0) {
    drafts.push(memo("tokenizer", [pins, tokenizer], () => prepareTokenizer(inputs)));
  }
  // All data first: what is wrong with it shows before anything is trained.
  for (const section of trainings) {
    const parts = [pins, seed, ...Object.values(dataParams(section))];
    drafts.push(memo(`data ${section.id}`, parts, () => prepareData(inputs, section)));
  }
  for (const section of trainings) {
    const { id, from } = section;
    const batches = batchesOf(section, hardware);
    const parts = [pins, written(section), from, model, mask, seed, batches];
    drafts.push(memo(`training ${id}`, parts, () => trainingStage(inputs, section, batches)));
  }
  const lineage = (stage: string) => lineageOf(stage, drafts);
  for (const section of sections) {
    if (section.kind !== "eval") continue;
    const parts = [written(section), section.from.join(" "), section.data, mask, seed];
    drafts.push(
      ...memo(`evaluations ${section.id}`, parts, () =>
        deepFreeze(evaluationStages(recipe, section)),
      ),
    );
  }
  for (const section of sections) {
    if (section.kind === "export") {
      drafts.push(exportStage(recipe, section, { earlier: drafts, lineage }));
    }
  }
  return drafts.map((draft) =>
    memo(`stage ${draft.id}`, [draft, recipe.hardware, hardware.training.get(draft.id)], () =>
      toStage(draft, inputs, hardware),
    ),
  );
}

function batchesOf(
  { id }: TrainingSection,
  { training }: StageHardwareOf,
): ResolvedTrainingHardware {
  const resolved = training.get(id);
  if (resolved === undefined) throw new TypeError(`stagesOfRecipe: no hardware for ${id}`);
  return resolved;
}

/** The ids of a stage and of those whose models it was trained from. */
function lineageOf(stage: string, drafts: readonly StageDraft[]): string[] {
  const ids: string[] = [];
  for (let at: string | undefined = stage; at !== undefined && !ids.includes(at);) {
    ids.push(at);
    at = drafts.find(({ id }) => id === at)?.inputs["model"];
  }
  return ids;
}

function toStage(
  draft: StageDraft,
  { recipe, locations, cores }: StageInputs,
  hardware: StageHardwareOf,
): RecipeStage {
  const { id, kind, params, origins, sources = [], estimate, microBatchRows } = draft;
  const { threads } = recipe.hardware;
  const computes = kind !== "prepare" && kind !== "export";
  // All else is this machine's work, whatever trains.
  const own = recipe.hardware.engine === "tfjs" && computes ? "tfjs" : "onnx";
  const { engine, launcher } =
    hardware.training.get(id) ??
    ("benchmark" in params ? hardware.other : ({ engine: own, launcher: "local" } as const));
  return {
    id,
    kind,
    inputs: draft.inputs,
    origins,
    params: params as unknown as JsonObject,
    hardware: {
      engine,
      launcher,
      device: computes && !runsReference(engine) ? recipe.hardware.device : "cpu",
      threads: threads === 0 ? cores : threads,
      ...(microBatchRows !== undefined && { microBatchRows }),
    },
    locations: Object.fromEntries(
      // What is on the hub is nowhere on this machine yet.
      sources.flatMap((name) => (locations[name] === undefined ? [] : [[name, locations[name]]])),
    ),
    ...(estimate !== undefined && { estimate }),
  };
}
