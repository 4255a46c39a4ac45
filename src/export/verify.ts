/**
 * @file Reads an exported directory back and compares it with the model it was made from: the
 * weights bit by bit, and what the exported files predict.
 */
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { randomStream } from "../base/random.js";
import { OnnxSession } from "../engine/onnx-session.js";
import { createMaskedLm, type LogitsInput } from "../model/masked-lm.js";
import { readModel } from "../model/model-directory.js";
import type { Architecture } from "../model/registry.js";
import { openSafetensors } from "../model/safetensors.js";

// Enough for a sliding window to matter, small enough for a large model.
const PROBE_ROWS = 2;
const PROBE_TOKENS = 96;

// The ONNX file computes every position in one graph of other shapes: sums in another order.
const ONNX_TOLERANCE = 1e-4;

/** Random ids, the second row with its last quarter hidden; logits wherever a key is visible. */
function probe({ config }: Architecture): LogitsInput & { attentionMask: Uint8Array } {
  const seq = Math.min(PROBE_TOKENS, config.maxPositions);
  const stream = randomStream({ seed: 0, purpose: "evaluation" });
  const inputIds = Int32Array.from({ length: PROBE_ROWS * seq }, () =>
    stream.below(config.vocabSize),
  );
  const attentionMask = new Uint8Array(PROBE_ROWS * seq).fill(1);
  attentionMask.fill(0, attentionMask.length - Math.floor(seq / 4));
  const positions = Int32Array.from(attentionMask.keys()).filter((i) => attentionMask[i] === 1);
  return { inputIds, batch: PROBE_ROWS, seq, attentionMask, positions };
}

function differs(file: string, found: string, expected: string): DllmError {
  return new DllmError(`${file}: ${found}`, {
    exitCode: ExitCode.expectationFailed,
    details: [`expected ${expected}`, "the export was not published; this is a bug in dllm"],
  });
}

function sameBytes(a: Float32Array, b: Float32Array): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    Buffer.from(buffer, byteOffset, byteLength);
  return bytes(a).equals(bytes(b));
}

/** Checks that a loader finds each parameter once and nothing else. */
async function verifyNames(file: string, { family, config }: Architecture): Promise<void> {
  const weights = await openSafetensors(file);
  await weights.close();
  const expected = new Set(family.parameters(config).map(({ name }) => name));
  const missing = [...expected].filter((name) => !weights.entries.has(name));
  const unexpected = [...weights.entries.keys()].filter((name) => !expected.has(name));
  if (missing.length + unexpected.length > 0) {
    throw differs(
      file,
      `missing tensors: ${missing.join(", ") || "none"}; unexpected: ${unexpected.join(", ") || "none"}`,
      "the parameters of the model and nothing else",
    );
  }
}

export interface VerifiedExport {
  /** Greatest difference of a logit between model.onnx and the model; absent without the file. */
  onnxMaxDifference?: number;
}

/**
 * Compares an exported directory with the model it was made from.
 * @param parameters the model's weights, float32 in the order of the family's parameters
 * @throws DllmError 3 when weights or predictions differ
 */
export async function verifyExport({
  directory,
  architecture,
  parameters,
  formats,
  threads,
}: {
  directory: string;
  architecture: Architecture;
  parameters: Float32Array;
  formats: readonly ("safetensors" | "onnx")[];
  threads: number;
}): Promise<VerifiedExport> {
  const input = probe(architecture);
  const model = await createMaskedLm(architecture, parameters, { threads });
  const expected = await model.logits(input);
  await model.dispose();

  if (formats.includes("safetensors")) {
    const file = join(directory, "model.safetensors");
    await verifyNames(file, architecture);
    const exported = await readModel(directory);
    if (!sameBytes(exported.parameters, parameters)) {
      throw differs(file, "other weights than the model's", "the same bits");
    }
    // From the exported config.json: a field that was lost shows here.
    const again = await createMaskedLm(exported.architecture, exported.parameters, { threads });
    const logits = await again.logits(input);
    await again.dispose();
    if (!sameBytes(logits, expected)) {
      throw differs(directory, "predicts other logits than the model", "the same bits");
    }
  }
  if (!formats.includes("onnx")) return {};

  const file = join(directory, "model.onnx");
  const difference = await onnxDifference(file, input, expected, threads);
  const scale = expected.reduce((most, logit) => Math.max(most, Math.abs(logit)), 1);
  // Written so that NaN fails as well.
  if (!(difference <= ONNX_TOLERANCE * scale)) {
    throw differs(
      file,
      `logits differ from the model's by up to ${difference}`,
      `at most ${ONNX_TOLERANCE * scale}`,
    );
  }
  return { onnxMaxDifference: difference };
}

async function onnxDifference(
  file: string,
  { inputIds, attentionMask, batch, seq, positions }: ReturnType<typeof probe>,
  expected: Float32Array,
  threads: number,
): Promise<number> {
  const session = await OnnxSession.create(file, { threads });
  try {
    const wide = (values: Int32Array | Uint8Array) => ({
      data: BigInt64Array.from(values, BigInt),
      shape: [batch, seq],
    });
    const { logits } = await session.run(
      { input_ids: wide(inputIds), attention_mask: wide(attentionMask) },
      {},
      ["logits"],
    );
    const vocabSize = expected.length / positions.length;
    let difference = logits!.length === batch * seq * vocabSize ? 0 : NaN;
    positions.forEach((position, row) => {
      for (let token = 0; token < vocabSize; token++) {
        const found = logits![position * vocabSize + token]!;
        const distance = Math.abs(found - expected[row * vocabSize + token]!);
        if (!(distance <= difference)) difference = distance;
      }
    });
    return difference;
  } finally {
    await session.dispose();
  }
}
