/**
 * @file The forward process: timesteps and masked batches.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/trainers/mdlm.py, MDLMTrainer.compute_loss.
 */
import { ShapeError } from "../base/errors.js";
import { maskProbability, type AlphaSchedule } from "./alpha-schedule.js";

const f32 = Math.fround;

/**
 * Returns the timestep of a draw: a float32 in [timeEpsilon, 1) for `uniform` in [0, 1).
 * A time of 0 would mask nothing and weigh infinitely much.
 */
export function sampleTimestep(uniform: number, timeEpsilon: number): number {
  return f32(f32(timeEpsilon) + f32(f32(1 - timeEpsilon) * f32(uniform)));
}

/** The draws of a row, asked for once per column, in ascending order. */
export type RowUniforms = (column: number) => number;

export interface MaskInputs {
  batch: {
    /** int32 [batch, seq] */
    inputIds: Int32Array;
    /** uint8 [batch, seq], 1 where labels ≠ -100 */
    maskable: Uint8Array;
    batch: number;
    seq: number;
  };
  /** float32 [batch], in [0, 1] */
  times: Float32Array;
  /** In [0, 1): float32 [batch, seq], or the draws of each row (independent of the batch it is in). */
  uniforms: Float32Array | ((row: number) => RowUniforms);
  schedule: AlphaSchedule;
  maskId: number;
}

export interface MaskedBatch {
  /** int32 [batch, seq] */
  noisedIds: Int32Array;
  /** int32 [masked], row-major flat indices into [batch, seq], ascending */
  positions: Int32Array;
  /** int32 [masked], the ids that stood at `positions` */
  targets: Int32Array;
}

/**
 * Returns the batch with each maskable token replaced by the mask token at its row's mask ratio:
 * a token is masked where uniform < 1 - alpha(time), compared in float32.
 * One draw is taken for every cell, maskable or not, so a draw belongs to its (row, column).
 * @throws ShapeError when a shape disagrees with [batch, seq].
 */
export function maskBatch({ batch, times, uniforms, schedule, maskId }: MaskInputs): MaskedBatch {
  const { inputIds, maskable, batch: rows, seq } = batch;
  expectLength("inputIds", inputIds.length, [rows, seq]);
  expectLength("maskable", maskable.length, [rows, seq]);
  expectLength("times", times.length, [rows]);
  if (uniforms instanceof Float32Array) expectLength("uniforms", uniforms.length, [rows, seq]);

  const noisedIds = Int32Array.from(inputIds);
  const positions: number[] = [];
  for (let row = 0; row < rows; row++) {
    const maskRatio = maskProbability(schedule, times[row]!);
    const first = row * seq;
    const draw: RowUniforms =
      uniforms instanceof Float32Array ? (column) => uniforms[first + column]! : uniforms(row);
    for (let column = 0; column < seq; column++) {
      const uniform = f32(draw(column));
      if (uniform < maskRatio && maskable[first + column] === 1) {
        noisedIds[first + column] = maskId;
        positions.push(first + column);
      }
    }
  }
  const flat = Int32Array.from(positions);
  return { noisedIds, positions: flat, targets: flat.map((position) => inputIds[position]!) };
}

function expectLength(name: string, length: number, shape: readonly number[]): void {
  if (length === shape.reduce((product, size) => product * size, 1)) return;
  throw new ShapeError(`maskBatch: ${name} has ${length} values, expected [${shape.join(", ")}]`);
}
