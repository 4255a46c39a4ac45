/** The upper halves of float32 values: bfloat16 by truncation. */
export function bfloat16(values: Float32Array): Uint16Array {
  return Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16);
}
