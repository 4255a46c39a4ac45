/** @file Whether a device can compute: a small graph is run on it. */
import { createRequire } from "node:module";
import { errorMessage } from "../base/errors.js";
import { neg } from "../graph/ops/elementwise.js";
import { input } from "../graph/ops/source.js";
import type { Device } from "./device.js";
import { compileGraph, type Engine } from "./session.js";

/** Returns why an engine cannot use a device, as it says itself; undefined when it computes. */
export async function reasonAgainst(
  device: Device,
  engine: Engine = "onnx",
): Promise<string | undefined> {
  const outputs = { y: neg(input("x", "float32", ["n"])) };
  try {
    const session = await compileGraph({ outputs }, { threads: 1, device, engine });
    const { y } = await session.run({ x: { data: Float32Array.of(2), shape: [1] } }, {}, ["y"]);
    await session.dispose();
    return y![0] === -2 ? undefined : `computes -(2) as ${y![0]}`;
  } catch (error) {
    // The message carries the place in ONNX Runtime's own source; what follows it matters.
    return errorMessage(error).trim().split(" was false. ").at(-1)!;
  }
}

/** Returns the version of an installed package; undefined where it is not installed. */
export function installedVersion(name: string): string | undefined {
  try {
    const { version } = createRequire(import.meta.url)(`${name}/package.json`) as {
      version: string;
    };
    return version;
  } catch {
    return undefined;
  }
}
