/** @file Which files of a model's directory or repository are brought along: no code, no pickles. */
import { tokenizerFiles } from "../data/tokenizer-files.js";

export function isTokenizerFile(path: string): boolean {
  return (tokenizerFiles as readonly string[]).includes(path);
}

export function isWeights(path: string): boolean {
  return /^[^/]+\.safetensors$/.test(path) || path === "model.safetensors.index.json";
}

export function isModelFile(path: string): boolean {
  return path === "config.json" || isWeights(path) || isTokenizerFile(path);
}
