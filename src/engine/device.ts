/** @file Where ONNX Runtime computes: its execution providers by the name of the device. */
import type { InferenceSession } from "onnxruntime-node";

export type Device = "cpu" | "webgpu" | "cuda";

type Provider = InferenceSession.ExecutionProviderConfig;

/**
 * Returns the execution providers of a session. What a GPU's provider does not implement runs on
 * the CPU, node by node; that the provider is absent or finds no adapter is an error of ONNX Runtime.
 * @param model bytes of the ONNX model
 */
export function executionProviders(device: Device, model: Uint8Array | string): Provider[] {
  switch (device) {
    case "cpu":
      return ["cpu"];
    case "webgpu": {
      const names = preciseNodes(model);
      // The provider refuses an empty list.
      const webgpu = { name: "webgpu", ...(names.length > 0 && { forceCpuNodeNames: names }) };
      return [webgpu as Provider, "cpu"];
    }
    case "cuda":
      return ["cuda", "cpu"];
  }
}

/**
 * Returns the names of the nodes that make the tables of rotary positions. Shaders promise sines
 * only to 2^-11 absolute, which costs logits three digits.
 */
function preciseNodes(model: Uint8Array | string): string[] {
  if (typeof model === "string") return [];
  const text = Buffer.from(model.buffer, model.byteOffset, model.byteLength).toString("latin1");
  return [...new Set(text.match(/\b(?:Sin|Cos)_\d+/g))];
}
