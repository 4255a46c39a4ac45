/** @file Damage to what is on disk (RELIABILITY S11-S14): found, set aside, never a wrong result. */
import {
  appendFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { readCheckpoints } from "../../src/base/checkpoint-directory.js";
import { DllmError } from "../../src/base/errors.js";
import { readJsonLines } from "../../src/base/json-lines.js";
import { readJournal } from "../../src/run/journal.js";
import { readPlan } from "../../src/run/read-plan.js";
import { runPaths } from "../../src/run/run-paths.js";
import { openStore } from "../../src/run/store.js";
import { readJob } from "../../src/stages/stage-main.js";
import { runToy, toyPlan } from "../run/toy-runs.js";
import { expectSound } from "../support/oracle.js";
import { row } from "./matrix.js";
import { finish, makeBench, makeTemplate, type Bench } from "./toy.js";

type Template = Awaited<ReturnType<typeof makeTemplate>>;

let finished: Bench;
let hanging: Bench;
let done: Template;
let interrupted: Template;
beforeAll(async () => {
  finished = await makeBench();
  done = await makeTemplate((runs) => finish(finished, runs));
  const plan = toyPlan({ steps: 12, saveEvery: 3, misbehave: "kill-itself", at: 10 });
  const expected = finished.expected.slice(0, 1);
  hanging = { toy: finished.toy, plan, expected };
  interrupted = await makeTemplate(async (runs) => {
    // Its checkpoints are those of steps 6 and 9.
    await runToy(
      hanging.toy,
      runs,
      toyPlan({ steps: 12, saveEvery: 3, misbehave: "kill-itself", at: 10 }),
    );
    if (existsSync(join(runs, "toy", "stages", "pretrain", "result.json"))) {
      // It was gone on with at once: as it was before that.
      rmSync(join(runs, "toy", "stages", "pretrain", "result.json"));
      rmSync(join(runs, "toy", "stages", "pretrain", "output"), { recursive: true });
    }
  });
});
afterAll(() => {
  done.remove();
  interrupted.remove();
});

type Mutator = (bytes: Buffer) => Buffer | undefined;
const mutators: Readonly<Record<string, Mutator>> = {
  "a flipped bit": (bytes) => {
    const changed = Buffer.from(bytes);
    changed[changed.length >> 1]! ^= 1;
    return changed;
  },
  "half of it": (bytes) => bytes.subarray(0, bytes.length >> 1),
  "nothing in it": () => Buffer.alloc(0),
  "a byte more": (bytes) => Buffer.concat([bytes, Buffer.from("x")]),
  "zeros in place of it": (bytes) => Buffer.alloc(bytes.length),
  "no such file": () => undefined,
};

function mutate(path: string, mutator: Mutator): void {
  const changed = mutator(readFileSync(path));
  // Published files are read-only.
  rmSync(path);
  if (changed) writeFileSync(path, changed, { mode: 0o600 });
}

const stagePath = (runs: string, ...parts: string[]) => join(runs, "toy", "stages", ...parts);

row("S11", "every file of a checkpoint, damaged in every way", async (count) => {
  for (const name of ["MANIFEST.json", "state.txt", "moments.bin"]) {
    for (const mutator of Object.values(mutators)) {
      await interrupted.use(async (runs) => {
        mutate(stagePath(runs, "pretrain", "checkpoints", "step-000009", name), mutator);
        await finish(hanging, runs);
        expect(readdirSync(stagePath(runs, "pretrain", "checkpoints"))).toContain(
          "step-000009.bad",
        );
      });
      count(1);
    }
  }
});

row("S11", "two files, and two checkpoints, that changed places", async (count) => {
  await interrupted.use(async (runs) => {
    const checkpoints = stagePath(runs, "pretrain", "checkpoints");
    const [a, b] = ["step-000006", "step-000009"].map((step) =>
      join(checkpoints, step, "state.txt"),
    );
    const [first, second] = [readFileSync(a!), readFileSync(b!)];
    mutate(a!, () => second);
    mutate(b!, () => first);
    // Nothing is left to resume from: only with consent is everything computed anew.
    expect((await runToy(hanging.toy, runs, hanging.plan)).code).toBe(65);
    await finish(hanging, runs, { TOY_ALLOW_RESTART: "1" });
  });
  await interrupted.use(async (runs) => {
    const checkpoints = stagePath(runs, "pretrain", "checkpoints");
    const { renameSync } = await import("node:fs");
    renameSync(join(checkpoints, "step-000009"), join(checkpoints, "x"));
    renameSync(join(checkpoints, "step-000006"), join(checkpoints, "step-000009"));
    renameSync(join(checkpoints, "x"), join(checkpoints, "step-000006"));
    expect((await runToy(hanging.toy, runs, hanging.plan)).code).toBe(65);
    await finish(hanging, runs, { TOY_ALLOW_RESTART: "1" });
  });
  count(2);
});

row("S11", "every byte of a checkpoint's manifest", async (count) => {
  await interrupted.use((runs) => {
    const checkpoints = stagePath(runs, "pretrain", "checkpoints");
    const path = join(checkpoints, "step-000009", "MANIFEST.json");
    const bytes = readFileSync(path);
    const before = JSON.parse(bytes.toString()) as object;
    rmSync(path);
    for (let offset = 0; offset < bytes.length; offset++) {
      const changed = Buffer.from(bytes);
      changed[offset]! ^= 1 << (offset % 7);
      writeFileSync(path, changed);
      const { valid, broken } = readCheckpoints(checkpoints, 1);
      // White space may differ, and the name of the checksum; what is said may not.
      if (valid[0]?.step === 9) {
        const after = JSON.parse(JSON.stringify(valid[0].manifest)) as Record<string, unknown>;
        const { files, step } = after;
        expect({ files, step }).toEqual({ files: (before as { files: object }).files, step: 9 });
      } else expect(broken).toHaveLength(1);
      count(1);
    }
    return Promise.resolve();
  });
});

row("S12", "every file of an artifact, damaged in every way", async (count) => {
  for (const name of ["MANIFEST.json", "state.txt"]) {
    for (const mutator of Object.values(mutators)) {
      await done.use(async (runs) => {
        mutate(stagePath(runs, "pretrain", "output", name), mutator);
        await finish(finished, runs);
        const { records } = readJournal(runPaths(runs, "toy"));
        expect(records.some(({ event }) => event === "quarantined")).toBe(true);
      });
      count(1);
    }
  }
});

row("S12", "every byte of a manifest and of a result", async (count) => {
  await done.use((runs) => {
    const { fingerprint } = finished.plan.stages[0]!;
    for (const name of ["output/MANIFEST.json", "result.json"]) {
      const path = stagePath(runs, "pretrain", name);
      const bytes = readFileSync(path);
      const whole = openStore(runs).finished(fingerprint)!;
      rmSync(path);
      for (let offset = 0; offset < bytes.length; offset++) {
        for (const changed of [flip(bytes, offset), bytes.subarray(0, offset)]) {
          writeFileSync(path, changed);
          const found = openStore(runs).finished(fingerprint);
          // Of a result, times and figures are for people; what is reused is the artifact.
          if (found)
            expect([found.artifact, found.fingerprint]).toEqual([whole.artifact, fingerprint]);
          count(1);
        }
      }
      writeFileSync(path, bytes);
      expect(openStore(runs).finished(fingerprint)).toEqual(whole);
    }
    return Promise.resolve();
  });
});

function flip(bytes: Buffer, offset: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[offset]! ^= 1 << (offset % 7);
  return changed;
}

row(
  "S13",
  "journal, plan, recipe, result, specification and lock, damaged in every way",
  async (count) => {
    const names = [
      "journal.jsonl",
      "plan.json",
      "recipe.resolved.json",
      "run.lock",
      "stages/sft/result.json",
      "stages/sft/spec.json",
      "stages/sft/lock",
      "stages/pretrain/result.json",
      "stages/pretrain/metrics.jsonl",
      "stages/pretrain/out.log",
    ];
    for (const name of names) {
      for (const [how, mutator] of Object.entries(mutators)) {
        await done.use(async (runs) => {
          mutate(join(runs, "toy", name), mutator);
          const { code, stderr } = await runToy(finished.toy, runs, finished.plan);
          expect({ name, how, code, stderr }).toEqual({ name, how, code: 0, stderr: "" });
          // What is history, or of a finished stage's past, stays as it is, and fsck reports it.
          if (!/journal|metrics|spec/.test(name)) await expectSound(runs);
        });
        count(1);
      }
    }
  },
);

row(
  "S13",
  "every byte of plan, journal and specification: read or refused, never a crash",
  async (count) => {
    await done.use((runs) => {
      const directory = join(runs, "toy");
      const refusedOr = (read: () => void) => {
        try {
          read();
        } catch (error) {
          if (!(error instanceof DllmError)) throw error;
          expect([65, 78]).toContain(error.exitCode);
        }
      };
      const readers: [string, () => void][] = [
        [join(directory, "plan.json"), () => refusedOr(() => readPlan(directory))],
        [join(directory, "journal.jsonl"), () => readJournal(runPaths(runs, "toy"))],
        [
          stagePath(runs, "sft", "spec.json"),
          () => refusedOr(() => readJob(stagePath(runs, "sft"))),
        ],
      ];
      for (const [path, read] of readers) {
        const bytes = readFileSync(path);
        for (let offset = 0; offset < bytes.length; offset += bytes.length > 4000 ? 3 : 1) {
          for (const changed of [flip(bytes, offset), bytes.subarray(0, offset)]) {
            writeFileSync(path, changed);
            read();
            count(1);
          }
        }
        writeFileSync(path, bytes);
      }
      return Promise.resolve();
    });
  },
);

row("S14", "metrics torn, with a block of zeros, and interleaved", async (count) => {
  const damages: [string, number, string | undefined][] = [
    ['{"step":11,"lo', 0, '{"step":11,"lo\n'],
    [`${"\0".repeat(512)}`, 0, `${"\0".repeat(512)}\n`],
    [`${"\0".repeat(100)}\n`, 1, undefined],
    ['{"step":10,"loss":0.{"step":10,"loss":0.1}\n', 1, undefined],
    ["\ud800\n", 1, undefined],
  ];
  for (const [text, bad, torn] of damages) {
    await interrupted.use(async (runs) => {
      const directory = stagePath(runs, "pretrain");
      appendFileSync(join(directory, "metrics.jsonl"), text);
      expect((await runToy(hanging.toy, runs, hanging.plan)).code).toBe(0);
      const { records, badLines } = readJsonLines<{ step: number }>(
        join(directory, "metrics.jsonl"),
      );
      expect(badLines).toBe(bad);
      expect([...new Set(records.map(({ step }) => step))]).toHaveLength(12);
      if (torn !== undefined)
        expect(readFileSync(join(directory, "metrics.torn"), "utf8")).toBe(torn);
    });
    count(1);
  }
});
