/** @file A masked language model ready to predict: weights in memory, graphs compiled on demand. */
import type { Value } from "../engine/onnx-session.js";
import { OnnxSession } from "../engine/onnx-session.js";
import { writeOnnx } from "../graph/onnx/writer.js";
import { forwardInputs, inputNames } from "./graph-inputs.js";
import { readModel } from "./model-directory.js";
import { layOut, viewsOf } from "./parameters.js";
import type { Architecture } from "./registry.js";

export interface LogitsInput {
  /** int32 [batch, seq], row-major */
  inputIds: Int32Array;
  batch: number;
  seq: number;
  /** uint8 [batch, seq], 1 for visible keys; absent: all are visible */
  attentionMask?: Uint8Array;
  /** int32 [n]: flat indices (row * seq + column) */
  positions: Int32Array;
}

export interface MaskedLanguageModel {
  readonly vocabSize: number;
  /** Logits at the positions, float32 [n, vocab], owned by the caller. */
  logits(input: LogitsInput): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** Returns the parameters as feeds, by name; the views share memory with `flat`. */
export function parameterFeeds(
  { family, config }: Architecture,
  flat: Float32Array,
): Record<string, Value> {
  const specs = family.parameters(config);
  const views = viewsOf(layOut(specs), flat);
  return Object.fromEntries(
    specs.map(({ name, shape }) => [name, { data: views.get(name)!, shape }]),
  );
}

/** Returns the feeds of the ids and, where given, of the attention mask. */
export function inputFeeds({
  inputIds,
  batch,
  seq,
  attentionMask,
  positions,
}: LogitsInput): Record<string, Value> {
  return {
    [inputNames.inputIds]: { data: inputIds, shape: [batch, seq] },
    [inputNames.positions]: { data: positions, shape: [positions.length] },
    ...(attentionMask && {
      [inputNames.attentionMask]: { data: Int32Array.from(attentionMask), shape: [batch, seq] },
    }),
  };
}

/**
 * Returns a predictor over parameters that are already in memory; it reads `flat` at every call,
 * so updates in place are seen.
 */
export function createMaskedLm(
  architecture: Architecture,
  flat: Float32Array,
  { threads }: { threads: number },
): MaskedLanguageModel {
  const feeds = parameterFeeds(architecture, flat);
  const sessions = new Map<boolean, Promise<OnnxSession>>();
  const sessionFor = (withAttentionMask: boolean): Promise<OnnxSession> => {
    let session = sessions.get(withAttentionMask);
    if (session === undefined) {
      const inputs = forwardInputs(architecture, { withAttentionMask });
      const { logits } = architecture.family.forward(architecture.config, inputs);
      session = OnnxSession.create(writeOnnx({ outputs: { logits } }), { threads });
      sessions.set(withAttentionMask, session);
    }
    return session;
  };
  return {
    vocabSize: architecture.config.vocabSize,
    async logits(input) {
      if (input.positions.length === 0) return new Float32Array(0);
      const session = await sessionFor(input.attentionMask !== undefined);
      const results = await session.run({ ...feeds, ...inputFeeds(input) }, {}, ["logits"]);
      return results["logits"]!;
    },
    async dispose() {
      for (const session of sessions.values()) await (await session).dispose();
      sessions.clear();
    },
  };
}

/**
 * Loads a model directory: config.json and model.safetensors (or shards).
 * @throws DllmError 65 when they do not fit each other, 66 when they are absent
 */
export async function loadMaskedLm(
  directory: string,
  options: { threads: number },
): Promise<MaskedLanguageModel> {
  const { architecture, parameters } = await readModel(directory);
  return createMaskedLm(architecture, parameters, options);
}
