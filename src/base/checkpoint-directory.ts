/**
 * @file The directory of a stage's checkpoints: `step-000123`, each published with a manifest
 * whose `step` decides their order.
 */
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { DllmError } from "./errors.js";
import { readManifest, verifyDirectorySync, type Manifest } from "./manifest.js";

export interface Checkpoint {
  step: number;
  directory: string;
  manifest: Manifest;
}

export interface BrokenCheckpoint {
  directory: string;
  /** What verification found. */
  problem: string;
}

/** The name of a checkpoint: sorts by step in listings. */
export function checkpointName(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/** Returns a checkpoint by its manifest, which decides its step. @throws where it is none */
export function readStep(directory: string): Checkpoint {
  const manifest = readManifest(directory);
  const step = manifest.step;
  if (typeof step !== "number" || !Number.isSafeInteger(step)) {
    throw new Error(`${directory}: the manifest has no step`);
  }
  if (basename(directory) !== checkpointName(step)) {
    throw new Error(`${directory}: is the checkpoint of step ${step}`);
  }
  return { step, directory, manifest };
}

/**
 * Returns the checkpoints below a directory that verify, newest first, at most `limit`, and the
 * broken ones that were met on the way.
 */
export function readCheckpoints(
  parent: string,
  limit: number,
): { valid: Checkpoint[]; broken: BrokenCheckpoint[] } {
  const candidates: Checkpoint[] = [];
  const broken: BrokenCheckpoint[] = [];
  const names = existsSync(parent) ? readdirSync(parent) : [];
  for (const name of names.filter((each) => /^step-\d+$/.test(each))) {
    const directory = join(parent, name);
    attempt(directory, broken, () => candidates.push(readStep(directory)));
  }
  candidates.sort((a, b) => b.step - a.step);
  const valid: Checkpoint[] = [];
  for (const candidate of candidates) {
    if (valid.length >= limit) break;
    attempt(candidate.directory, broken, () => {
      verifyDirectorySync(candidate.directory);
      valid.push(candidate);
    });
  }
  return { valid, broken };
}

function attempt(directory: string, broken: BrokenCheckpoint[], action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    broken.push({
      directory,
      problem: error instanceof DllmError ? error.format() : error.message,
    });
  }
}
