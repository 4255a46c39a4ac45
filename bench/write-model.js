/** @file A model with random weights on disk, which both sides load. */
import { writeModel } from "../dist/model/model-directory.js";
import { initialiseParameters, layOut } from "../dist/model/parameters.js";
import { parseArchitecture } from "../dist/model/registry.js";

/** Writes the model of a work to a directory, which must exist. */
export async function writeRandomModel(directory, { model }) {
  const architecture = parseArchitecture({
    architectures: ["ModernBertForMaskedLM"],
    model_type: "modernbert",
    ...model,
  });
  const layout = layOut(architecture.family.parameters(architecture.config));
  const parameters = initialiseParameters(layout, 1);
  for (const { spec, offset, length } of layout.slots) {
    // Larger than initialised, so that predictions differ from place to place.
    if (!spec.name.includes("layers") || spec.shape.length === 1) continue;
    for (let i = offset; i < offset + length; i++) parameters[i] *= 4;
  }
  await writeModel(directory, architecture, parameters);
}
