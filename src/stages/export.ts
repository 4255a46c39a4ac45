/**
 * @file The `export` stage (inputs `model`, and an `eval…` per evaluation to quote). Output: a
 * directory in Hugging Face layout with a model card, and model.onnx. What was written is read
 * back and compared with the model before it is published.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { MANIFEST_FILE, readJson, sha256File, writeFile } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import type { EvalResult } from "../evaluate/result.js";
import { writeHfLayout } from "../export/hf-layout.js";
import { modelCard } from "../export/model-card.js";
import { exportOnnx } from "../export/onnx.js";
import { verifyExport } from "../export/verify.js";
import type { ExportParams } from "../plan/params.js";
import { StageStopped, type StageContext, type StageImplementation } from "../plan/stage.js";
import { modelInput } from "./model-input.js";

const steps = ["weights and tokenizer", "model.onnx", "comparing with the model", "model card"];

/** Exports a model; nothing is published unless it predicts what the model predicts. */
export const run: StageImplementation = async (context) => {
  const { job, outputDirectory: directory } = context;
  const params = job.params as unknown as ExportParams;
  const { formats } = params.export;
  const modelDirectory = modelInput(context, params.step);

  begin(context, 0);
  const { architecture, parameters, files } = await writeHfLayout({
    modelDirectory,
    directory,
    withWeights: formats.includes("safetensors"),
  });
  begin(context, 1);
  if (formats.includes("onnx")) {
    await exportOnnx({ modelDirectory, file: join(directory, "model.onnx") });
    files.push("model.onnx");
  }
  begin(context, 2);
  const { threads } = job.hardware;
  const verified = await verifyExport({ directory, architecture, parameters, formats, threads });
  context.log(`read back: ${files.join(", ")}`);

  begin(context, 3);
  const config = readJson(join(directory, "config.json")) as JsonObject;
  const card = modelCard({
    recipe: params.recipe,
    config,
    parameters: parameters.length,
    evaluations: readEvaluations(context),
    fingerprints: await fingerprintsOf(context, files),
    formats,
  });
  await writeFile(join(directory, "README.md"), card);
  context.progress({ done: steps.length, total: steps.length, unit: "step" });
  return {
    parameters: parameters.length,
    ...Object.fromEntries(
      files
        .filter((name) => name.startsWith("model."))
        .map((name) => [`${name}_bytes`, statSync(join(directory, name)).size]),
    ),
    ...(verified.onnxMaxDifference !== undefined && {
      onnx_max_difference: verified.onnxMaxDifference,
    }),
  };
};

function begin(context: StageContext, step: number): void {
  // Seconds of work: there is nothing worth a checkpoint.
  if (context.stop.requested) throw new StageStopped("stopped; the export starts again");
  context.progress({ done: step, total: steps.length, unit: "step", message: steps[step]! });
}

const evalInputs = ({ job }: StageContext): string[] =>
  Object.keys(job.inputs)
    .filter((name) => name.startsWith("eval"))
    .sort();

/** `eval` is of the exported model, `eval-pretrain` of the one that the pretrain stage made. */
function readEvaluations(
  context: StageContext,
): { title: string; results: readonly EvalResult[] }[] {
  return evalInputs(context).map((name) => ({
    title: name === "eval" ? "This model" : `For comparison: after ${name.replace(/^eval-/, "")}`,
    results: readJson(join(context.input(name), "results.json")) as EvalResult[],
  }));
}

async function fingerprintsOf(
  context: StageContext,
  files: readonly string[],
): Promise<[string, string][]> {
  const rows: [string, string][] = [["fingerprint of the export", context.job.fingerprint]];
  for (const name of ["model", ...evalInputs(context)]) {
    const { sha256 } = await sha256File(join(context.input(name), MANIFEST_FILE));
    rows.push([`artifact: ${name}`, sha256]);
  }
  for (const name of files.filter((file) => existsSync(join(context.outputDirectory, file)))) {
    const { sha256 } = await sha256File(join(context.outputDirectory, name));
    rows.push([name, sha256]);
  }
  return rows;
}
