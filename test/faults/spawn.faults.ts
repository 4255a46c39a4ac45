/** @file Processes that cannot be started (RELIABILITY P15): what the system call says, in words. */
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import { runToy, toyPlan } from "../run/toy-runs.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";
import { row } from "./matrix.js";
import { finish, makeBench, type Bench } from "./toy.js";

const pathOf = (program: string): string =>
  spawnSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).stdout.trim();
const [strace, setpriv] = [pathOf("strace"), pathOf("setpriv")];
const probe = spawnSync(strace, ["-f", "-qq", "-o", "/dev/null", "true"]);
const skip = probe.status === 0 && setpriv !== "" ? false : "needs setpriv(1) and strace(1)";

let bench: Bench;
beforeAll(async () => {
  bench = await makeBench(toyPlan({ steps: 4, saveEvery: 2 }));
});

/** A system call's error to the exit code, and whether it is tried again. */
const errors = [
  ["execve", "ENOENT", 78, false],
  ["execve", "E2BIG", 78, false],
  ["execve", "EACCES", 77, false],
  ["execve", "EAGAIN", 75, true],
  ["execve", "ENOMEM", 75, true],
  ["openat", "EMFILE", 75, true],
  ["openat", "ENFILE", 75, true],
] as const;

/** The file that the call must be about, for strace to fail it. */
const of = {
  execve: (bin: string) => join(bin, "setpriv"),
  openat: () => process.execPath,
} as const;

row(
  "P15",
  "strace: stage processes that cannot be started",
  async (count) => {
    for (const [call, error, exitCode, isTriedAgain] of errors) {
      await inMemoryDirectory(async (runs) => {
        // Alone in the search path: where it cannot be run, the next of its name would be.
        const bin = join(runs, "bin");
        mkdirSync(bin);
        symlinkSync(setpriv, join(bin, "setpriv"));
        const { code, stderr, events } = await runToy(
          bench.toy,
          join(runs, "runs"),
          bench.plan,
          { PATH: bin },
          [
            ...[strace, "-f", "-qq", "-o", "/dev/null", "-P", of[call](bin)],
            ...["-e", `trace=${call}`, "-e", `inject=${call}:error=${error}`],
          ],
        );
        expect({ error, code, stderr }).toMatchObject({ error, code: exitCode });
        expect(stderr).toMatch(
          new RegExp(`^stage pretrain: its process cannot be started: .*${error}`, "m"),
        );
        const failed = events.filter(({ event }) => event === "stage-failed");
        expect(failed).toMatchObject([{ reason: "cannot_start" }]);
        const again = events.filter(({ event }) => event === "stage-retrying");
        expect(again).toHaveLength(isTriedAgain ? 2 : 0);
        await finish(bench, join(runs, "runs"));
      });
      count(1);
    }
  },
  { skip },
);
