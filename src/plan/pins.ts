/**
 * @file Pins: what the files named in a recipe contain, so that planning needs no disk and a
 * fingerprint names contents rather than paths. Made by stages/pins.ts.
 */
import type { HubRevision, PinnedFile, SourceParams } from "./params.js";

/** A directory of files: a tokenizer or a model. */
export interface PinnedDirectory {
  /** As written in the recipe; also the key into the locations. */
  name: string;
  files: readonly PinnedFile[];
  /** Of the hub: the branch, tag or commit asked for, and the commit where it is known. */
  hub?: HubRevision;
}

export interface Pins {
  /** The datasets of each `dataset_args` of the recipe, by key path (`sft.dataset_args`). */
  datasets: Readonly<Record<string, readonly SourceParams[]>>;
  /** The files of `tokenizer.name_or_path`, or of the model where it brings the tokenizer. */
  tokenizer?: PinnedDirectory;
  /** The files of `model.name_or_path`. */
  model?: PinnedDirectory;
}

/** Source name (dataset, tokenizer or model) to its absolute path on this machine. */
export type Locations = Readonly<Record<string, string>>;
