/** @file What a row of the fault matrix says. */

/** Where the rows of this run are collected: set by the global set-up. */
export const MATRIX = "DLLM_FAULT_MATRIX";

export interface MatrixRow {
  id: string;
  how: string;
  count: number;
  result: "passed" | "failed" | `skipped: ${string}`;
  seconds: number;
}
