/**
 * @file Safetensors files. The header of a file is hostile until checked: nothing is allocated
 * from a number that it claims before that number was compared with the file.
 */
export type { SafetensorsDtype, SafetensorsEntry } from "./safetensors-header.js";
export {
  openSafetensors,
  readSafetensors,
  toFloat32,
  type SafetensorsFile,
  type SafetensorsTensor,
} from "./safetensors-reader.js";
export { safetensorsBytes, writeSafetensors, type TensorToWrite } from "./safetensors-writer.js";
export { openWeights, type WeightFiles } from "./weight-files.js";
