/** @file How much the stages of a plan will write, as far as that can be known before. */
import { readManifest } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { layOut } from "../model/parameters.js";
import { modelFamilies, parseArchitecture } from "../model/registry.js";
import type {
  ExportParams,
  PinnedFile,
  PrepareTextParams,
  PrepareTokenizerParams,
  SourceParams,
  TrainParams,
} from "../plan/params.js";
import type { Plan } from "../plan/plan.js";
import { stageFiles } from "../plan/stage-files.js";
import { FEWEST_CHECKPOINTS, type PlannedStage } from "../plan/stage.js";
import type { DiskNeed } from "../run/disk-check.js";
import type { Store } from "../run/store.js";
import { join } from "node:path";

const FLOAT_BYTES = 4;
/** Weights and the two moments of AdamW. */
const STATE_COPIES = 3;

export interface DiskNeedInputs {
  plan: Plan;
  store: Store;
  selected: ReadonlySet<string>;
  /** The files of a source on the hub, where they are known. */
  listing: (source: SourceParams) => readonly { bytes: number }[] | undefined;
}

/**
 * Returns the bytes that the unfinished stages will add: checkpoints that are kept, outputs, and
 * the shards that a stream holds at a time. Sizes come from published files and listings, else
 * from a model's configuration; unknown ones are left out.
 */
export function estimateDiskNeed({ plan, store, selected, listing }: DiskNeedInputs): DiskNeed {
  const byId = new Map(plan.stages.map((stage) => [stage.id, stage]));
  const sizes = new Map<string, number | undefined>();

  /** Bytes of the model that a stage makes or brings. */
  function modelBytes(id: string | undefined): number | undefined {
    const stage = id === undefined ? undefined : byId.get(id);
    if (stage === undefined) return undefined;
    if (!sizes.has(stage.id)) {
      // Set first: no recursion into itself.
      sizes.set(stage.id, undefined);
      sizes.set(stage.id, publishedBytes(store, stage) ?? plannedBytes(stage));
    }
    return sizes.get(stage.id);
  }

  function plannedBytes(stage: PlannedStage): number | undefined {
    if (stage.kind === "prepare") return sum(filesOf(stage));
    if (stage.kind !== "pretrain" && stage.kind !== "sft") return undefined;
    const { model } = stage.params as unknown as TrainParams;
    if (model.source === "input") return modelBytes(stage.inputs["model"]);
    const tokenizer = byId.get(stage.inputs["tokenizer"] ?? "");
    return scratchBytes(model, tokenizer?.params as unknown as PrepareTokenizerParams | undefined);
  }

  function needOf(stage: PlannedStage): number {
    switch (stage.kind) {
      case "pretrain":
      case "sft": {
        const model = modelBytes(stage.id) ?? 0;
        const { train } = stage.params as unknown as TrainParams;
        const kept = Math.max(FEWEST_CHECKPOINTS, train?.save_total_limit ?? 0);
        return model + kept * STATE_COPIES * model + streamedBytes(byId.get(stage.inputs["data"]!));
      }
      case "prepare":
        // Of a stream only what is held out is written.
        return stage.params["streaming"] === true ? 0 : (sum(filesOf(stage)) ?? 0);
      case "export": {
        const { formats } = (stage.params as unknown as ExportParams).export;
        return formats.length * (modelBytes(stage.inputs["model"]) ?? 0);
      }
      case "eval":
        return 0;
    }
  }

  /** Of each dataset the file that is read and the next one: at most the two largest. */
  function streamedBytes(data: PlannedStage | undefined): number {
    if (data?.params["streaming"] !== true) return 0;
    const { sources } = data.params as unknown as PrepareTextParams;
    const held = sources.map((source) => {
      const sizes = (listing(source) ?? []).map(({ bytes }) => bytes);
      return sizes.sort((a, b) => b - a).slice(0, 2);
    });
    // Without weights one dataset is read after another.
    const together = sources.some(({ weight }) => weight !== undefined);
    const largest = held.flat().sort((a, b) => b - a);
    return (together ? largest : largest.slice(0, 2)).reduce((total, each) => total + each, 0);
  }

  const unfinished = plan.stages.filter(({ id, action }) => selected.has(id) && action !== "reuse");
  return { stages: new Map(unfinished.map((stage) => [stage.id, needOf(stage)])) };
}

/** Bytes of the weights in a stage's published output. */
function publishedBytes(store: Store, stage: PlannedStage): number | undefined {
  if (!store.finished(stage.fingerprint)) return undefined;
  const { files } = readManifest(join(store.directory(stage.fingerprint), stageFiles.output));
  return sum(
    Object.entries(files)
      .filter(([name]) => name.endsWith(".safetensors"))
      .map(([, { bytes }]) => ({ bytes })),
  );
}

/** The files that a prepare stage reads: what it writes is about as large. */
function filesOf({ params }: PlannedStage): { bytes: number }[] {
  const { files, sources, tokenizer } = params as unknown as {
    files?: readonly PinnedFile[];
    sources?: readonly { files: readonly PinnedFile[] }[];
    tokenizer?: { files?: readonly PinnedFile[] };
  };
  return [
    ...(files ?? []),
    ...(sources ?? []).flatMap((each) => each.files),
    ...(tokenizer?.files ?? []),
  ];
}

function scratchBytes(
  { family, config }: Extract<TrainParams["model"], { source: "scratch" }>,
  tokenizer: PrepareTokenizerParams | undefined,
): number | undefined {
  const trained = tokenizer?.tokenizer.source === "train" ? tokenizer.tokenizer : undefined;
  const vocabSize = Number(config["vocab_size"] ?? trained?.vocab_size);
  if (!Number.isFinite(vocabSize)) return undefined;
  const ids = { padId: 0, bosId: 1, eosId: 2, clsId: 1, sepId: 2 };
  try {
    const complete: JsonObject = modelFamilies[family].completeConfig(config, {
      vocabSize,
      ...ids,
    });
    const { family: definition, config: parsed } = parseArchitecture(complete);
    return FLOAT_BYTES * layOut(definition.parameters(parsed)).size;
  } catch {
    // The stage itself will say what is wrong with its configuration.
    return undefined;
  }
}

function sum(files: readonly { bytes: number }[]): number | undefined {
  return files.length === 0 ? undefined : files.reduce((total, { bytes }) => total + bytes, 0);
}
