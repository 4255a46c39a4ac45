/**
 * @file Rules of stages: that each has something to start from, that they do not need each other
 * in a circle, and that the settings of each agree.
 */
import type { CheckInputs } from "./check-inputs.js";
import { checkTraining } from "./check-training.js";
import { nearest } from "./issues.js";
import {
  parseModelSource,
  RECIPE_MODEL,
  settingsAt,
  writtenStages,
  type WrittenStage,
} from "./stage-sections.js";

/** Reports every broken rule of the stages of a recipe. */
export function checkStages(inputs: CheckInputs): void {
  const { recipe, isWritten } = inputs;
  const stages = writtenStages(recipe, isWritten);
  checkIds(inputs, stages);
  checkPresence(inputs, stages);
  for (const stage of stages) {
    if (stage.kind === "pretrain" || stage.kind === "sft") checkTraining(inputs, stage.keyPath);
    if (stage.kind === "eval") checkEval(inputs, stage, stages);
  }
  checkSources(inputs, stages);
  checkExpectations(inputs, stages);
}

const trains = ({ kind }: WrittenStage) => kind === "pretrain" || kind === "sft";

function checkIds({ report }: CheckInputs, stages: readonly WrittenStage[]): void {
  const sections = new Set(stages.filter(({ keyPath, id }) => keyPath === id).map(({ id }) => id));
  for (const { id, keyPath } of stages) {
    if (keyPath !== id && sections.has(id as WrittenStage["kind"])) {
      report(keyPath, `stage ${JSON.stringify(id)} is there twice: the section ${id} is one, too`);
    }
    if (id === RECIPE_MODEL) {
      report(keyPath, `no stage can be called "model": it stands for the recipe's own model`);
    }
  }
}

/** The rules of the four sections, whose order is given. */
function checkPresence(
  { isWritten, report, recipe }: CheckInputs,
  stages: readonly WrittenStage[],
): void {
  if (isWritten("sft") && !isWritten("pretrain") && !isWritten("model.name_or_path")) {
    report(
      "sft",
      "sft has no model to start from: there is neither pretrain nor model.name_or_path",
      'add "pretrain:" before it, or name an existing model in "model: {name_or_path: …}"',
    );
  }
  if (recipe.stages === undefined && isWritten("stages")) return;
  if (isWritten("pretrain") || isWritten("sft")) return;
  const isElsewhere = stages.some(trains);
  if (isWritten("eval") && !isElsewhere) {
    report(
      "eval",
      "eval has no test split: there is neither pretrain nor sft, whose data it evaluates on",
      'add "pretrain:" or "sft:"',
    );
  } else if (isWritten("eval") && recipe.eval !== undefined && recipe.eval.from === undefined) {
    report(
      "eval",
      "eval does not say which stage it evaluates",
      `write "from: [${stages
        .filter(trains)
        .map(({ id }) => id)
        .join(", ")}]"`,
    );
  } else if (stages.length === 0) {
    report("", "the recipe has no stage", "add at least one of: pretrain, sft, export");
  } else if (
    isWritten("export") &&
    recipe.export?.from === undefined &&
    isWritten("model") &&
    !isWritten("model.name_or_path")
  ) {
    report(
      "export",
      isElsewhere
        ? "export does not say which stage's model it exports"
        : "export has no trained model: there is neither pretrain nor sft",
      ...(isElsewhere
        ? [
            `write "from:" and one of: ${stages
              .filter(trains)
              .map(({ id }) => id)
              .join(", ")}`,
          ]
        : []),
    );
  }
}

/** What `from` names, as far as it is usable. */
function sourcesOf(
  inputs: CheckInputs,
  { keyPath }: WrittenStage,
): { keyPath: string; text: string }[] {
  const from = settingsAt(inputs.recipe, keyPath)?.["from"];
  if (typeof from === "string") return [{ keyPath: `${keyPath}.from`, text: from }];
  if (!Array.isArray(from)) return [];
  return from.map((text, index) => ({ keyPath: `${keyPath}.from.${index}`, text: String(text) }));
}

function checkSources(inputs: CheckInputs, stages: readonly WrittenStage[]): void {
  const { recipe, isWritten, report } = inputs;
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  const trainable = stages.filter(trains).map(({ id }) => id);
  for (const stage of stages) {
    for (const { keyPath, text } of sourcesOf(inputs, stage)) {
      const { stage: id, step } = parseModelSource(text);
      if (id === RECIPE_MODEL) {
        if (step !== undefined) report(keyPath, `${text} names a step, and model is no stage`);
        const needsModel = !trains(stage) || stage.kind === "sft";
        if (needsModel && isWritten("model") && !isWritten("model.name_or_path")) {
          report(
            isWritten(keyPath) ? keyPath : stage.keyPath,
            `stage ${stage.id} starts from the recipe's model, which is from scratch`,
            trainable.some((other) => other !== stage.id)
              ? `write "from:" and one of: ${trainable.filter((other) => other !== stage.id).join(", ")}`
              : 'name an existing model in "model: {name_or_path: …}"',
          );
        }
        continue;
      }
      const source = byId.get(id);
      if (source === undefined || !trains(source)) {
        const what = keyPath.replace(/\.\d+$/, "");
        const suggestion = nearest(id, [...trainable, RECIPE_MODEL]);
        report(
          keyPath,
          source === undefined
            ? `${what} names ${JSON.stringify(id)}, a stage that this recipe does not have`
            : `${what} names ${JSON.stringify(id)}, a stage that makes no model`,
          `expected one of: ${[...trainable.filter((other) => other !== stage.id), RECIPE_MODEL].join(", ")}`,
          ...(suggestion === undefined ? [] : [`did you mean ${JSON.stringify(suggestion)}?`]),
        );
      } else if (step !== undefined) {
        const kept = (settingsAt(recipe, source.keyPath)?.["keep_steps"] ??
          []) as readonly number[];
        if (!kept.includes(step)) {
          report(
            keyPath,
            `${text} names a step that stage ${id} does not keep`,
            `add it to ${source.keyPath}.keep_steps (${kept.length === 0 ? "empty now" : `now ${kept.join(", ")}`})`,
          );
        }
      }
    }
  }
  checkCircles(inputs, stages, byId);
}

function checkCircles(
  inputs: CheckInputs,
  stages: readonly WrittenStage[],
  byId: ReadonlyMap<string, WrittenStage>,
): void {
  const settled = new Set<string>();
  for (const start of stages) {
    const path: string[] = [];
    let at: WrittenStage | undefined = start;
    while (at !== undefined && !settled.has(at.id)) {
      const { id } = at;
      if (path.includes(id)) {
        const circle = [...path.slice(path.indexOf(id)), id];
        inputs.report(
          `${at.keyPath}.from`,
          `stages start from each other in a circle: ${circle.join(" -> ")}`,
        );
        break;
      }
      path.push(id);
      const from: string | undefined = trains(at) ? sourcesOf(inputs, at)[0]?.text : undefined;
      at = from === undefined ? undefined : byId.get(parseModelSource(from).stage);
    }
    for (const id of path) settled.add(id);
  }
}

function checkEval(
  inputs: CheckInputs,
  { id, keyPath }: WrittenStage,
  stages: readonly WrittenStage[],
): void {
  const { recipe, isWritten, report } = inputs;
  const settings = settingsAt(recipe, keyPath) as
    Partial<NonNullable<typeof recipe.eval>> | undefined;
  if (settings === undefined) return;
  const key = (name: string) => `${keyPath}.${name}`;
  if (settings.limit === 0)
    report(key("limit"), "limit is 0, expected -1 or an integer at least 1");
  const tasks = settings.tasks ?? [];
  const hasConversations = stages.some(({ kind }) => kind === "sft");
  if (tasks.includes("exact_match") && stages.some(trains) && !hasConversations) {
    report(
      key(`tasks.${tasks.indexOf("exact_match")}`),
      "exact_match needs conversations with answers, and this recipe has no sft",
      `remove it from ${key("tasks")}`,
    );
  }
  const data = (settings as { data?: string }).data;
  if (data !== undefined && !stages.some((stage) => stage.id === data && trains(stage))) {
    report(
      key("data"),
      `data names ${JSON.stringify(data)}, which is no training stage of this recipe`,
      `expected one of: ${stages
        .filter(trains)
        .map((stage) => stage.id)
        .join(", ")}`,
    );
  }
  const from = (settings.from ?? []) as readonly string[];
  if (data === undefined && keyPath !== "eval") {
    const bare = from.findIndex((text) => parseModelSource(text).stage === RECIPE_MODEL);
    if (bare !== -1) {
      report(
        key(`from.${bare}`),
        `stage ${id} evaluates the recipe's model, which has no test split of its own`,
        'write "data:" and the training stage on whose test split to evaluate',
      );
    }
  }
  const { max_new_tokens: tokens, block_size: block, steps } = settings.sampler ?? {};
  if (tokens !== undefined && block !== undefined && steps !== undefined) {
    const blocks = Math.ceil(tokens / block);
    if (steps < blocks) {
      report(
        key("sampler.steps"),
        `steps is ${steps}, expected at least ${blocks}: ${tokens} new tokens in blocks of ` +
          `${block} are ${blocks} blocks, and each takes at least one step`,
      );
    }
  }
  for (const [name, benchmark] of Object.entries(settings.benchmarks ?? {})) {
    const { mc_num: copies, batch_size: batch } = (benchmark ?? {}) as {
      mc_num?: number;
      batch_size?: number;
    };
    if (copies !== undefined && batch !== undefined && copies % batch !== 0) {
      const at = isWritten(key(`benchmarks.${name}.batch_size`)) ? "batch_size" : "mc_num";
      report(
        key(`benchmarks.${name}.${at}`),
        `mc_num ${copies} is no multiple of batch_size ${batch}`,
      );
    }
  }
}

function checkExpectations({ recipe, report }: CheckInputs, stages: readonly WrittenStage[]): void {
  const evaluations = stages.filter(({ kind }) => kind === "eval").map(({ id }) => id);
  for (const [index, expectation] of (recipe.expects ?? []).entries()) {
    const { stage } = expectation;
    if (typeof stage === "string" && !evaluations.includes(stage.replace(/@.*$/, ""))) {
      report(
        `expects.${index}.stage`,
        `stage is ${JSON.stringify(stage)}, which is no evaluation of this recipe`,
        `expected one of: ${evaluations.join(", ")}`,
      );
    }
  }
}
