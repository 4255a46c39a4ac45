/**
 * @file All parameters of a model in one flat float32 buffer, with a view per tensor: the same
 * layout serves weights, gradients and optimizer moments, so that optimizer, clipping and
 * accumulation are plain loops.
 */
import { randomStream } from "../base/random.js";
import type { ParameterSpec } from "./family.js";
import type { TensorToWrite } from "./safetensors.js";

export interface ParameterSlot {
  spec: ParameterSpec;
  /** First element in the flat buffer. */
  offset: number;
  length: number;
}

export interface ParameterLayout {
  slots: readonly ParameterSlot[];
  /** Elements of the flat buffer. */
  size: number;
}

/** Returns where each parameter lies in the flat buffer, in the order of the specs. */
export function layOut(specs: readonly ParameterSpec[]): ParameterLayout {
  let size = 0;
  const slots = specs.map((spec) => {
    const length = spec.shape.reduce((product, dim) => product * dim, 1);
    const slot = { spec, offset: size, length };
    size += length;
    return slot;
  });
  return { slots, size };
}

/** Returns a view of each parameter into a flat buffer of the layout. */
export function viewsOf(
  { slots }: ParameterLayout,
  flat: Float32Array,
): ReadonlyMap<string, Float32Array> {
  return new Map(
    slots.map(({ spec, offset, length }) => [spec.name, flat.subarray(offset, offset + length)]),
  );
}

function fill(
  target: Float32Array,
  { shape, initialisation: rule }: ParameterSpec,
  seed: number,
  tensor: number,
): void {
  switch (rule.kind) {
    case "zeros":
      target.fill(0);
      return;
    case "ones":
      target.fill(1);
      return;
    case "truncated_normal":
      fillNormal(target, rule.std, rule.cutoff, seed, tensor);
      return;
    case "normal":
      fillNormal(target, rule.std, Infinity, seed, tensor);
      if (rule.zeroRow !== null) {
        const width = shape.at(-1)!;
        target.fill(0, rule.zeroRow * width, (rule.zeroRow + 1) * width);
      }
      return;
  }
}

/** Box-Muller in pairs; draws beyond `cutoff` standard deviations are drawn again. */
function fillNormal(
  target: Float32Array,
  std: number,
  cutoff: number,
  seed: number,
  tensor: number,
): void {
  const stream = randomStream({ seed, purpose: "initialisation", epoch: tensor });
  let next = 0;
  while (next < target.length) {
    const radius = Math.sqrt(-2 * Math.log(1 - stream.uniform()));
    const angle = 2 * Math.PI * stream.uniform();
    const first = radius * Math.cos(angle);
    const second = radius * Math.sin(angle);
    if (Math.abs(first) <= cutoff) target[next++] = first * std;
    if (Math.abs(second) <= cutoff && next < target.length) target[next++] = second * std;
  }
}

/** Returns freshly initialised parameters, float32 [layout.size], the same for the same seed. */
export function initialiseParameters({ slots, size }: ParameterLayout, seed: number): Float32Array {
  const flat = new Float32Array(size);
  slots.forEach(({ spec, offset, length }, tensor) =>
    fill(flat.subarray(offset, offset + length), spec, seed, tensor),
  );
  return flat;
}

/** Returns the parameters as tensors to write to model.safetensors. */
export function tensorsOf(layout: ParameterLayout, flat: Float32Array): readonly TensorToWrite[] {
  const views = viewsOf(layout, flat);
  return layout.slots.map(({ spec }) => ({
    name: spec.name,
    shape: [...spec.shape],
    data: views.get(spec.name)!,
  }));
}
