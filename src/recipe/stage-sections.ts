/**
 * @file The stages that a recipe names, in one form: the sections `pretrain`, `sft`, `eval` and
 * `export`, and those under `stages`.
 */
import type { DeepPartial } from "./defaults.js";
import type { PretrainSettings, Recipe, SftSettings } from "./schema.js";
import { splitPath } from "./source-tree.js";

export type SectionKind = "pretrain" | "sft" | "eval" | "export";
const sectionKinds = ["pretrain", "sft", "eval", "export"] as const satisfies SectionKind[];

/** `model` is the recipe's own; a step is one that the stage kept. */
export interface ModelSource {
  stage: string;
  step?: number;
}

/** The name under which a stage starts from the recipe's `model`. */
export const RECIPE_MODEL = "model";

/** Returns what `from` names: `sft`, `sft@2000` or `model`. */
export function parseModelSource(text: string): ModelSource {
  const [stage = "", step] = text.split("@");
  return step === undefined ? { stage } : { stage, step: Number(step) };
}

export interface TrainingSection {
  id: string;
  kind: "pretrain" | "sft";
  /** Where it is in the recipe: `sft`, or `stages.sft-alpaca`. */
  keyPath: string;
  from: string;
  settings: PretrainSettings | SftSettings;
}

type EvalBody = Omit<NonNullable<Recipe["eval"]>, "from">;
type ExportBody = Omit<NonNullable<Recipe["export"]>, "from">;

export interface EvalSection {
  id: string;
  kind: "eval";
  keyPath: string;
  from: readonly string[];
  /** The training stage on whose test split to evaluate; by default each model's own. */
  data?: string;
  settings: EvalBody;
}

export interface ExportSection {
  id: string;
  kind: "export";
  keyPath: string;
  from: string;
  settings: ExportBody;
}

export type StageSectionOf = TrainingSection | EvalSection | ExportSection;

/** What is needed of a recipe; of an invalid one, what is left of it. */
export type StagesOf = Pick<Recipe, SectionKind | "stages">;

/** Returns the stages of a recipe: sections first, then `stages` in the order written. */
export function stageSections(recipe: StagesOf): StageSectionOf[] {
  const { pretrain, sft, stages = {} } = recipe;
  const sections: StageSectionOf[] = [];
  if (pretrain !== undefined) {
    const from = RECIPE_MODEL;
    sections.push({
      id: "pretrain",
      kind: "pretrain",
      keyPath: "pretrain",
      from,
      settings: pretrain,
    });
  }
  if (sft !== undefined) {
    const from = pretrain === undefined ? RECIPE_MODEL : "pretrain";
    sections.push({ id: "sft", kind: "sft", keyPath: "sft", from, settings: sft });
  }
  const last = sections.at(-1)?.id;
  if (recipe.eval !== undefined) {
    const { from = [last ?? RECIPE_MODEL], ...settings } = recipe.eval;
    // All models are measured on the same rows: those of the last stage.
    const data = last === undefined ? {} : { data: last };
    sections.push({ id: "eval", kind: "eval", keyPath: "eval", from, ...data, settings });
  }
  if (recipe.export !== undefined) {
    const { from = last ?? RECIPE_MODEL, ...settings } = recipe.export;
    sections.push({ id: "export", kind: "export", keyPath: "export", from, settings });
  }
  for (const [id, stage] of Object.entries(stages)) {
    sections.push(mapped(id, stage));
  }
  return sections;
}

function mapped(id: string, stage: NonNullable<Recipe["stages"]>[string]): StageSectionOf {
  const keyPath = `stages.${id}`;
  switch (stage.kind) {
    case "pretrain":
    case "sft": {
      const { kind, from, ...settings } = stage;
      return { id, kind, keyPath, from, settings } as TrainingSection;
    }
    case "eval": {
      const { kind, from, data, ...settings } = stage;
      return { id, kind, keyPath, from, ...(data !== undefined && { data }), settings };
    }
    case "export": {
      const { kind, from, ...settings } = stage;
      return { id, kind, keyPath, from, settings };
    }
  }
}

/** Returns the training stages of a recipe, in that order. */
export function trainingSections(recipe: StagesOf): TrainingSection[] {
  return stageSections(recipe).filter(isTraining);
}

export function isTraining(section: StageSectionOf): section is TrainingSection {
  return section.kind === "pretrain" || section.kind === "sft";
}

/** The stages of a recipe that may be invalid: what cannot be said of a stage is left out. */
export interface WrittenStage {
  id: string;
  kind: SectionKind;
  keyPath: string;
}

/** Returns id and kind of each stage that a recipe names, whatever else is wrong with them. */
export function writtenStages(
  recipe: DeepPartial<Recipe>,
  isWritten: (keyPath: string) => boolean,
): WrittenStage[] {
  const sections: WrittenStage[] = sectionKinds
    .filter((kind) => isWritten(kind))
    .map((kind) => ({ id: kind, kind, keyPath: kind }));
  for (const [id, stage] of Object.entries(recipe.stages ?? {})) {
    const kind = stage?.kind;
    if (kind !== undefined) sections.push({ id, kind, keyPath: `stages.${id}` });
  }
  return sections;
}

/** Returns what a recipe says at a key path such as `stages.sft-alpaca`, if it is a map. */
export function settingsAt(
  recipe: DeepPartial<Recipe>,
  keyPath: string,
): Readonly<Record<string, unknown>> | undefined {
  let value: unknown = recipe;
  for (const key of splitPath(keyPath)) {
    value = (value as Readonly<Record<string, unknown>> | undefined)?.[key];
  }
  return typeof value === "object" && value !== null
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}
