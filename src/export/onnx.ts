/**
 * @file Exports a model directory as one model.onnx with the usual interface of masked language
 * models: input_ids and attention_mask int64 [batch, seq] to logits float32 [batch, seq, vocab].
 */
import { writeFile } from "../base/fs.js";
import { onnxChunks } from "../graph/onnx/writer.js";
import { logitsOf } from "../graph/ops/cross-entropy.js";
import { reshape } from "../graph/ops/shape.js";
import { input } from "../graph/ops/source.js";
import { BATCH, SEQ } from "../model/family.js";
import { forwardInputs, inputNames } from "../model/graph-inputs.js";
import { readModel } from "../model/model-directory.js";
import { layOut, viewsOf } from "../model/parameters.js";

/**
 * Writes the ONNX file (opset 20) of a model directory.
 * @throws DllmError 65 or 66 when the directory is no model
 */
export async function exportOnnx({
  modelDirectory,
  file,
}: {
  modelDirectory: string;
  file: string;
}): Promise<void> {
  const { architecture, parameters } = await readModel(modelDirectory);
  const { family, config } = architecture;
  const { decoder } = family.forward(config, {
    inputIds: input(inputNames.inputIds, "int64", [BATCH, SEQ]),
    attentionMask: input(inputNames.attentionMask, "int64", [BATCH, SEQ]),
    parameters: forwardInputs(architecture, { withAttentionMask: false }).parameters,
  });
  const specs = family.parameters(config);
  const views = viewsOf(layOut(specs), parameters);
  await writeFile(
    file,
    onnxChunks({
      outputs: { logits: reshape(logitsOf(decoder), [BATCH, SEQ, config.vocabSize]) },
      initializers: new Map(
        specs.map(({ name, shape }) => [name, { shape, data: views.get(name)! }]),
      ),
      metadata: { model_type: config.modelType },
    }),
  );
}
