/**
 * @file What a loss of power can leave of a sequence of file operations, thought through rather than
 * tried: what was not forced to the disk may be there, be missing or be torn, in any combination,
 * and names and contents independently of one another. (After SQLite's crash tests; RELIABILITY 4.)
 */
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { observeOperations, type Operation } from "../../src/base/fault.js";
import { randomStream } from "../../src/base/random.js";
import { inMemoryDirectory } from "./temporary-directory.js";

/** What happened, in order: operations, and what the code under test had promised in between. */
export type Step = Operation | { promise: string };

/** Runs an action below `root` and returns its operations; `promise` notes what it has kept safe. */
export async function recordOperations(
  action: (promise: (what: string) => void) => Promise<void>,
): Promise<Step[]> {
  const steps: Step[] = [];
  observeOperations((operation) => {
    // Buffers are used again by their writers.
    steps.push(
      "bytes" in operation ? { ...operation, bytes: Uint8Array.from(operation.bytes) } : operation,
    );
  });
  try {
    await action((what) => steps.push({ promise: what }));
  } finally {
    observeOperations(undefined);
  }
  return steps;
}

type Inode =
  | { kind: "file"; bytes: Uint8Array }
  | { kind: "directory"; entries: Map<string, number> }
  | { kind: "link"; target: string };

type Disk = Map<number, Inode>;
const ROOT = 0;

/** A change that reaches the disk as a whole, or (of contents) in part. */
interface Effect {
  /** Inodes whose fsync makes it durable. */
  on: number[];
  isContent: boolean;
  apply(disk: Disk, torn: boolean): void;
}

type Event = { effect: Effect } | { fsync: number } | { promise: string };

function readDisk(root: string): Disk {
  const disk: Disk = new Map();
  const read = (path: string): number => {
    const id = disk.size;
    const entries = new Map<string, number>();
    disk.set(id, { kind: "directory", entries });
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) {
        entries.set(entry.name, read(below));
        continue;
      }
      entries.set(entry.name, disk.size);
      disk.set(
        disk.size,
        entry.isSymbolicLink()
          ? { kind: "link", target: readlinkSync(below) }
          : { kind: "file", bytes: readFileSync(below) },
      );
    }
    return id;
  };
  read(root);
  return disk;
}

function copyDisk(disk: Disk): Disk {
  return new Map(
    [...disk].map(([id, inode]) => [
      id,
      inode.kind === "directory" ? { ...inode, entries: new Map(inode.entries) } : { ...inode },
    ]),
  );
}

/** Turns recorded steps into effects on inodes, by doing them to a model of the live disk. */
function toEvents(root: string, initial: Disk, steps: readonly Step[]): Event[] {
  const live = copyDisk(initial);
  const events: Event[] = [];
  let nextId = live.size;
  const parts = (path: string) =>
    relative(root, path)
      .split("/")
      .filter((part) => part !== "");
  const find = (path: string): number | undefined => {
    let at: number | undefined = ROOT;
    for (const part of parts(path)) {
      const inode: Inode | undefined = at === undefined ? undefined : live.get(at);
      at = inode?.kind === "directory" ? inode.entries.get(part) : undefined;
    }
    return at;
  };
  const must = (path: string): number => {
    const id = find(path);
    if (id === undefined) throw new Error(`power loss model: ${path} is not there`);
    return id;
  };
  const put = (effect: Effect): void => {
    effect.apply(live, false);
    events.push({ effect });
  };
  const name = (path: string, id: number): void => {
    const directory = must(dirname(path));
    put({
      on: [directory],
      isContent: false,
      apply: (disk) => entriesOf(disk, directory)?.set(basename(path), id),
    });
  };
  const unname = (path: string): void => {
    const directory = must(dirname(path));
    put({
      on: [directory],
      isContent: false,
      apply: (disk) => entriesOf(disk, directory)?.delete(basename(path)),
    });
  };
  const make = (inode: Inode): number => {
    const id = nextId++;
    live.set(id, inode);
    initial.set(id, inode.kind === "directory" ? { ...inode, entries: new Map() } : { ...inode });
    return id;
  };
  const content = (id: number, change: (before: Uint8Array, torn: boolean) => Uint8Array): void => {
    put({
      on: [id],
      isContent: true,
      apply(disk, torn) {
        const file = disk.get(id);
        if (file?.kind === "file") file.bytes = change(file.bytes, torn);
      },
    });
  };
  const remove = (path: string): void => {
    const id = find(path);
    if (id === undefined) return;
    const inode = live.get(id)!;
    if (inode.kind === "directory") {
      for (const below of [...inode.entries.keys()]) remove(join(path, below));
    }
    unname(path);
  };
  const makeDirectories = (path: string): void => {
    if (find(path) !== undefined) return;
    makeDirectories(dirname(path));
    name(path, make({ kind: "directory", entries: new Map() }));
  };

  const offsets = new Map<number, number>();
  for (const step of steps) {
    if ("promise" in step) {
      events.push(step);
      continue;
    }
    const { point, path } = step;
    switch (point) {
      case "mkdir":
        makeDirectories(path);
        break;
      case "create": {
        const existing = find(path);
        if (existing === undefined) name(path, make({ kind: "file", bytes: new Uint8Array() }));
        offsets.set(must(path), 0);
        break;
      }
      case "write": {
        const id = must(path);
        const offset = offsets.get(id) ?? 0;
        const { bytes } = step;
        // The first write follows the truncation by open(2).
        content(id, (before, torn) =>
          overlay(offset === 0 ? new Uint8Array() : before, offset, bytes, torn),
        );
        offsets.set(id, offset + bytes.length);
        break;
      }
      case "append": {
        const id = must(path);
        const file = live.get(id) as Extract<Inode, { kind: "file" }>;
        const offset = file.bytes.length;
        const { bytes } = step;
        content(id, (before, torn) => overlay(before, offset, bytes, torn));
        break;
      }
      case "cut": {
        const { length } = step;
        content(must(path), (before) => before.slice(0, length));
        break;
      }
      case "chmod":
        break;
      case "fsync":
        events.push({ fsync: must(path) });
        break;
      case "rename": {
        const id = must(step.from);
        const from = must(dirname(step.from));
        const to = must(dirname(path));
        put({
          on: [to],
          isContent: false,
          apply(disk) {
            const source = entriesOf(disk, from);
            if (source?.get(basename(step.from)) === id) source.delete(basename(step.from));
            entriesOf(disk, to)?.set(basename(path), id);
          },
        });
        break;
      }
      case "remove":
        remove(path);
        break;
      case "link":
        name(path, make({ kind: "link", target: step.target }));
        break;
    }
  }
  return events;
}

function entriesOf(disk: Disk, id: number): Map<string, number> | undefined {
  const inode = disk.get(id);
  return inode?.kind === "directory" ? inode.entries : undefined;
}

/** A write that was lost before a later one leaves a hole of zeros, as on a real disk. */
function overlay(before: Uint8Array, offset: number, bytes: Uint8Array, torn: boolean): Uint8Array {
  const part = torn ? bytes.subarray(0, bytes.length >> 1) : bytes;
  const after = new Uint8Array(Math.max(before.length, offset + part.length));
  after.set(before);
  after.set(part, offset);
  return after;
}

export interface PowerLoss {
  /** Where the action worked. Its state before the action is what `before` makes. */
  seed?: number;
  /** Above this many combinations at one instant, that many are drawn at random. */
  limit?: number;
}

/**
 * Calls `check` with every distinct state that a loss of power at any instant of the action can
 * leave, as a directory, and with what had been promised by then.
 * @returns the number of states
 */
export async function everyPowerLoss(
  scenario: {
    /** Makes the state before, all of it on the disk. */
    before?: (root: string) => Promise<void> | void;
    action: (root: string, promise: (what: string) => void) => Promise<void>;
    check: (root: string, promised: ReadonlySet<string>) => Promise<void> | void;
  },
  { seed = Number(process.env.DLLM_TEST_SEED ?? 1), limit = 4096 }: PowerLoss = {},
): Promise<number> {
  const { initial, events } = await inMemoryDirectory(async (root) => {
    await scenario.before?.(root);
    const initial = readDisk(root);
    const steps = await recordOperations((promise) => scenario.action(root, promise));
    return { initial, events: toEvents(root, initial, steps) };
  });
  const random = randomStream({ seed, purpose: "split" });
  const seen = new Set<string>();
  for (let instant = 0; instant <= events.length; instant++) {
    const past = events.slice(0, instant);
    const promised = new Set(past.flatMap((event) => ("promise" in event ? [event.promise] : [])));
    for (const disk of disksAfter(initial, past, { random: () => random.uniform(), limit })) {
      const key = JSON.stringify([[...promised], describe(disk, ROOT)]);
      if (seen.has(key)) continue;
      seen.add(key);
      await inMemoryDirectory(async (root) => {
        writeDisk(disk, ROOT, root);
        try {
          await scenario.check(root, promised);
        } catch (error) {
          const last = past.at(-1);
          const where = JSON.stringify(last && "effect" in last ? "a change" : last);
          throw new Error(
            `power lost at instant ${instant} of ${events.length} (after ${where}), seed ${seed}: ${describe(disk, ROOT)}`,
            { cause: error },
          );
        }
      });
    }
  }
  return seen.size;
}

function* disksAfter(
  initial: Disk,
  past: readonly Event[],
  { random, limit }: { random: () => number; limit: number },
): Generator<Disk> {
  const effects = past.flatMap((event, index) => {
    if (!("effect" in event)) return [];
    const durable = past
      .slice(index)
      .some((later) => "fsync" in later && event.effect.on.includes(later.fsync));
    // Kept; or kept or lost; or kept, lost or torn.
    const choices = durable ? 1 : event.effect.isContent ? 3 : 2;
    return [{ effect: event.effect, choices }];
  });
  const combinations = effects.reduce((product, { choices }) => product * choices, 1);
  const isSampled = combinations > limit;
  for (let n = 0; n < Math.min(combinations, limit); n++) {
    let code = n;
    const disk = copyDisk(initial);
    for (const { effect, choices } of effects) {
      const choice = isSampled ? Math.floor(random() * choices) : code % choices;
      code = Math.floor(code / choices);
      if (choice !== 1) effect.apply(disk, choice === 2);
    }
    yield disk;
  }
}

function describe(disk: Disk, id: number): string {
  const inode = disk.get(id)!;
  if (inode.kind === "link") return `-> ${inode.target}`;
  if (inode.kind === "file") {
    const text = Buffer.from(inode.bytes).toString("latin1");
    return JSON.stringify(text.replaceAll(/\.tmp-\d+/g, ".tmp"));
  }
  const entries = [...inode.entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, below]) => `${name}: ${describe(disk, below)}`).join(", ")}}`;
}

function writeDisk(disk: Disk, id: number, path: string): void {
  const inode = disk.get(id)!;
  if (inode.kind === "link") symlinkSync(inode.target, path);
  else if (inode.kind === "file") writeFileSync(path, inode.bytes, { mode: 0o600 });
  else {
    if (id !== ROOT) mkdirSync(path, { mode: 0o700 });
    for (const [name, below] of inode.entries) writeDisk(disk, below, join(path, name));
  }
}
