/**
 * @file Finds TensorFlow.js: the GPU build of tfjs-node, then its CPU build, then plain
 * JavaScript. All are optional; what is asked for and not there is an error, never a fallback.
 */
import type * as tfjsCore from "@tensorflow/tfjs-core";
import { DllmError, ExitCode, errorMessage } from "../../base/errors.js";
import type { Device } from "../device.js";

/** The functions of TensorFlow.js that the interpreter calls; every package exports them. */
export type Tfjs = typeof tfjsCore;

/** Packages that bring a backend, the fastest first. */
export const tfjsPackages = [
  "@tensorflow/tfjs-node-gpu",
  "@tensorflow/tfjs-node",
  "@tensorflow/tfjs-backend-cpu",
] as const;

type PackageName = (typeof tfjsPackages)[number];

/** What tfjs-node's backend says of itself. */
interface NodeBackend {
  isUsingGpuDevice?: boolean;
}

/** How a package is imported; an argument so that tests can do without the packages. */
export type ImportPackage = (name: string) => Promise<unknown>;

const importPackage: ImportPackage = (name) => import(name);

/**
 * Returns TensorFlow.js with its backend ready: for cuda the GPU build, else the fastest installed.
 * @throws DllmError 78 when no package is installed, one fails to load, or the GPU is not used
 */
export async function loadTfjs(
  device: Device,
  load: ImportPackage = importPackage,
): Promise<{ tf: Tfjs; packageName: PackageName }> {
  if (device === "webgpu") {
    throw unusable("engine tfjs has no WebGPU here", "use engine onnx, or device cuda or cpu");
  }
  const candidates = device === "cuda" ? tfjsPackages.slice(0, 1) : tfjsPackages;
  for (const packageName of candidates) {
    let tf: Tfjs;
    try {
      const loaded = await load(packageName);
      // Only the backends in JavaScript leave the functions to another package.
      const isComplete = packageName.startsWith("@tensorflow/tfjs-node");
      tf = (isComplete ? withDefault(loaded) : await load("@tensorflow/tfjs-core")) as Tfjs;
    } catch (error) {
      if (isNotInstalled(error, packageName)) continue;
      throw unusable(
        `${packageName} is installed but does not load: ${errorMessage(error)}`,
        `its native library may be missing: npm rebuild ${packageName} --ignore-scripts=false`,
        error,
      );
    }
    if (packageName === "@tensorflow/tfjs-backend-cpu") await tf.setBackend("cpu");
    await tf.ready();
    if (device === "cuda" && (tf.backend() as NodeBackend).isUsingGpuDevice !== true) {
      throw unusable(
        `${packageName} computes on the CPU, but a GPU was asked for`,
        "version 4.22 needs CUDA 11.2 and cuDNN 8.1 in the library path; it only warns without",
      );
    }
    return { tf, packageName };
  }
  throw unusable(
    `engine tfjs: none of ${candidates.join(", ")} is installed`,
    `npm install ${candidates[0]} --ignore-scripts=false`,
  );
}

/** CommonJS packages carry their exports under `default` when imported. */
function withDefault(loaded: unknown): unknown {
  return (loaded as { default?: unknown }).default ?? loaded;
}

function isNotInstalled(error: unknown, packageName: string): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return code === "ERR_MODULE_NOT_FOUND" && (message?.includes(packageName) ?? false);
}

function unusable(message: string, hint: string, cause?: unknown): DllmError {
  return new DllmError(message, {
    exitCode: ExitCode.environment,
    details: [hint, "`dllm doctor` shows what is installed"],
    ...(cause !== undefined && { cause }),
  });
}
