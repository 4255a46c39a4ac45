/**
 * @file Faults that no code of ours is asked about: strace kills the process at, or fails, the n-th
 * system call of a kind. (One thread of libuv's pool, for strace counts calls by thread.)
 */
import { spawnSync } from "node:child_process";
import { beforeAll } from "vitest";
import { runToy, toyPlan } from "../run/toy-runs.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";
import { row } from "./matrix.js";
import { everyN, finish, makeBench, type Bench } from "./toy.js";

const calls = {
  rename: "rename,renameat,renameat2",
  fsync: "fsync,fdatasync",
  write: "write,pwrite64,writev,pwritev",
  mkdir: "mkdir,mkdirat",
  unlink: "unlink,unlinkat,rmdir",
  link: "link,linkat,symlink,symlinkat",
} as const;

const probe = spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "true"]);
const skip = probe.status === 0 ? false : "needs strace(1) that may trace";

let bench: Bench;
beforeAll(async () => {
  bench = await makeBench(toyPlan({ steps: 4, saveEvery: 2 }));
});

/** Runs under strace, then to the end; returns whether the first run did not come to its end. */
async function inject(names: string, injection: string): Promise<boolean> {
  return inMemoryDirectory(async (runs) => {
    const wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${names}`];
    const first = await runToy(bench.toy, runs, bench.plan, { UV_THREADPOOL_SIZE: "1" }, [
      ...wrapper,
      "-e",
      `inject=${names}:${injection}`,
    ]);
    await finish(bench, runs);
    return first.code !== 0;
  });
}

/** Small numbers are start-up and locks, larger ones repeat: fewer of them. */
const sparser = (n: number): number => n + 1 + Math.floor(n / 6);

for (const kind of ["rename", "fsync", "mkdir", "unlink", "link"] as const) {
  row(
    "P1",
    `strace: SIGKILL at the n-th ${kind}`,
    async (count) => {
      count(await everyN((n) => inject(calls[kind], `signal=KILL:when=${n}`), sparser));
    },
    { skip, timeoutMs: 600_000 },
  );
}

row(
  "P1",
  "strace: SIGKILL at the n-th write",
  async (count) => {
    // Of a hundred or so, most go to channels between the processes.
    for (const n of [1, 2, 3, 5, 8, 13, 21, 34, 55]) {
      await inject(calls.write, `signal=KILL:when=${n}`);
      count(1);
    }
  },
  { skip },
);

for (const [id, error, kinds] of [
  ["S1", "ENOSPC", ["rename", "mkdir", "fsync"]],
  ["S2", "EIO", ["rename", "fsync", "unlink"]],
  ["S3", "EDQUOT", ["rename"]],
] as const) {
  for (const kind of kinds) {
    row(
      id,
      `strace: ${error} from the n-th ${kind}`,
      async (count) => {
        count(
          await everyN(
            (n) => inject(calls[kind], `error=${error}:when=${n}`),
            (n) => n + 4,
          ),
        );
      },
      { skip, timeoutMs: 600_000 },
    );
  }
}
