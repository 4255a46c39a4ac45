/**
 * @file Why a stage is another than in the run before: what differs in its own parameters and
 * code, and in those of its inputs, down to the cause.
 */
import { basename, dirname, join } from "node:path";
import { readJson } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import type { Plan } from "../plan/plan.js";
import { stageFiles } from "../plan/stage-files.js";
import type { StageJob, StageKind } from "../plan/stage.js";
import type { StampedEvent } from "../report/events.js";
import type { Store } from "./store.js";

/** A stage as one plan, or one execution of a run, knew it. */
export interface StageVersion {
  kind: StageKind;
  fingerprint: string;
  /** Undefined when nothing on disk tells any more. */
  params: JsonObject | undefined;
  /** Input name to the fingerprint of what it is made from. */
  inputs: Readonly<Record<string, string>>;
  codeVersion: number | undefined;
}

/** Returns the version of a stage by its id. */
export type Versions = (id: string) => StageVersion | undefined;

export interface Explanation {
  stage: string;
  /** Fingerprints; null where the stage did not exist. */
  before: string | null;
  after: string;
  /** The stage's own differences, one line each. */
  changes: string[];
  /** Inputs whose fingerprints differ, by name. */
  inputs: { input: string; explanation: Explanation }[];
}

/** Returns the stages as a plan has them. */
export function versionsOfPlan(plan: Plan): Versions {
  const stages = new Map(plan.stages.map((stage) => [stage.id, stage]));
  return (id) => {
    const stage = stages.get(id);
    if (!stage) return undefined;
    const { kind, fingerprint, params } = stage;
    const inputs = Object.entries(stage.inputs).map(([name, input]) => [
      name,
      stages.get(input)?.fingerprint ?? "",
    ]);
    return {
      kind,
      fingerprint,
      params,
      inputs: Object.fromEntries(inputs) as Record<string, string>,
      // A plan of before versions were recorded has none.
      codeVersion: (plan.codeVersions as Plan["codeVersions"] | undefined)?.[kind],
    };
  };
}

export type Execution = Extract<StampedEvent, { event: "run-started" }>;

/** Returns the stages as an execution of the past had them: the journal and their specifications. */
export function versionsOfExecution({ stages }: Execution, store: Store): Versions {
  const fingerprints = new Map(stages.map(({ id, fingerprint }) => [id, fingerprint]));
  return (id) => {
    const fingerprint = fingerprints.get(id);
    const kind = stages.find((stage) => stage.id === id)?.kind;
    if (fingerprint === undefined || kind === undefined) return undefined;
    const job = readJob(store.directory(fingerprint));
    const inputs = Object.entries(job?.inputs ?? {}).map(([name, output]) => [
      name,
      basename(dirname(output)),
    ]);
    return {
      kind,
      fingerprint,
      params: job?.params,
      inputs: Object.fromEntries(inputs) as Record<string, string>,
      codeVersion: undefined,
    };
  };
}

function readJob(directory: string): StageJob | undefined {
  try {
    return readJson(join(directory, stageFiles.spec)) as StageJob;
  } catch {
    return undefined;
  }
}

export interface Comparison {
  before: Versions;
  after: Plan;
  /** One line per parameter that differs. */
  describe: (id: string, before: JsonObject, after: JsonObject) => string[];
}

/** Returns what makes a stage of the later plan another than before. */
export function explainStage(id: string, comparison: Comparison): Explanation {
  const after = versionsOfPlan(comparison.after)(id);
  if (!after) throw new Error(`explainStage: no stage ${id}`);
  const before = comparison.before(id);
  const explanation: Explanation = {
    stage: id,
    before: before?.fingerprint ?? null,
    after: after.fingerprint,
    changes: [],
    inputs: [],
  };
  if (!before) return { ...explanation, changes: ["the run before had no such stage"] };
  if (before.fingerprint === after.fingerprint) return explanation;
  if (!before.params || !after.params) {
    return {
      ...explanation,
      changes: ["its earlier specification is gone: it cannot be compared"],
    };
  }
  const changes = comparison.describe(id, before.params, after.params);
  const planned = comparison.after.stages.find((stage) => stage.id === id)!;
  const inputs = Object.keys({ ...before.inputs, ...after.inputs })
    .filter((input) => before.inputs[input] !== after.inputs[input])
    .flatMap((input) => {
      const maker = planned.inputs[input];
      if (maker === undefined) changes.push(`input ${input} removed`);
      else if (before.inputs[input] === undefined) changes.push(`input ${input} added: ${maker}`);
      else return [{ input, explanation: explainStage(maker, comparison) }];
      return [];
    });
  if (before.codeVersion !== undefined && before.codeVersion !== after.codeVersion) {
    changes.push(`code of ${after.kind} changed ${before.codeVersion} -> ${after.codeVersion}`);
  }
  // The fingerprint holds nothing else.
  if (changes.length === 0 && inputs.length === 0) changes.push(`code of ${after.kind} changed`);
  return { ...explanation, changes, inputs };
}

const FINGERPRINT_DIGITS = 12;

/**
 * Returns an explanation as lines, inputs indented below what they are inputs of; what is the
 * input of several stages is explained once.
 */
export function explanationLines(explanation: Explanation, told = new Set<string>()): string[] {
  const { before, after, changes, inputs } = explanation;
  const short = (text: string | null) => text?.slice(0, FINGERPRINT_DIGITS) ?? "none";
  if (before === after) return [`nothing differs: fingerprint ${short(after)} as before`];
  return [
    `fingerprint ${short(before)} -> ${short(after)}`,
    ...changes,
    ...inputs.flatMap(({ input, explanation: below }) => {
      if (told.has(below.stage)) return [`input ${input}: ${below.stage}, see above`];
      told.add(below.stage);
      const lines = explanationLines(below, told).map((line) => `  ${line}`);
      return [`input ${input}: ${below.stage}`, ...lines];
    }),
  ];
}
