/** @file Storage faults (RELIABILITY 3.2): full, failing, read-only, shared and tampered storage. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import { thisProcess } from "../../src/base/process-identity.js";
import { artifacts, runToy, startToy, toyPlan } from "../run/toy-runs.js";
import { expectSound } from "../support/oracle.js";
import { inMemoryDirectory, inTemporaryDirectory } from "../support/temporary-directory.js";
import { row } from "./matrix.js";
import { breakAndFinish, everyN, finish, makeBench, type Bench } from "./toy.js";

let bench: Bench;
let single: Bench;
beforeAll(async () => {
  bench = await makeBench();
  single = await makeBench(toyPlan({ steps: 6, saveEvery: 2 }));
});

const canMount = canMountTmpfs();
const needsMount = canMount ? false : "needs root and mount(8)";

function canMountTmpfs(): boolean {
  if (process.getuid?.() !== 0) return false;
  const directory = "/tmp/dllm-mount-probe";
  mkdirSync(directory, { recursive: true });
  const mounted =
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory]).status === 0;
  if (mounted) execFileSync("umount", [directory]);
  rmSync(directory, { recursive: true });
  return mounted;
}

async function onTmpfs(
  options: string,
  use: (runs: string, remount: (options: string) => void) => Promise<void>,
): Promise<void> {
  await inTemporaryDirectory(async (parent) => {
    const runs = join(parent, "runs");
    mkdirSync(runs);
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", runs]);
    try {
      await use(runs, (changed) => execFileSync("mount", ["-o", `remount,${changed}`, runs]));
    } finally {
      execFileSync("umount", ["-l", runs]);
    }
  });
}

/** Says what cannot be written and why, with exit code 74; a report that cannot be written is none. */
const ioFailed = (code: string) => (exitCode: number | null, stderr: string) =>
  exitCode === 74 && stderr.includes(code);

for (const [id, action, code] of [
  ["S1", "enospc", "ENOSPC"],
  ["S2", "eio", "EIO"],
] as const) {
  row(
    id,
    `${code} at every operation`,
    async (count) => {
      count(await everyN((n) => breakAndFinish(single, `any:${n}:${action}`, ioFailed(code))));
    },
    { timeoutMs: 900_000 },
  );
  row(
    id,
    `${code} from the n-th operation on`,
    async (count) => {
      count(
        await everyN(
          (n) =>
            breakAndFinish(
              single,
              `any:${n}+:${action}`,
              (exit, stderr) => exit === 1 || ioFailed(code)(exit, stderr),
            ),
          (n) => n + 12,
        ),
      );
    },
    { timeoutMs: 900_000 },
  );
}

row(
  "S1",
  "a full file system, and then a larger one",
  async (count) => {
    for (const size of [20, 40, 60, 80]) {
      await onTmpfs(`size=${size}k,mode=700`, async (runs, remount) => {
        const full = await runToy(bench.toy, runs, bench.plan);
        expect([1, 74]).toContain(full.code);
        if (full.code === 74) expect(full.stderr).toMatch(/ENOSPC/);
        remount("size=16m");
        await finish(bench, runs);
      });
      count(1);
    }
  },
  { skip: needsMount },
);

for (const [action, code] of [
  ["efbig", "EFBIG"],
  ["edquot", "EDQUOT"],
] as const) {
  row("S3", `${code} at every sixth write`, async (count) => {
    count(
      await everyN(
        (n) => breakAndFinish(single, `write:${n}:${action}`, ioFailed(code)),
        (n) => n + 6,
      ),
    );
  });
}

row("S3", "a limit of file sizes (ulimit -f)", async (count) => {
  await inMemoryDirectory(async (runs) => {
    // One block of 512 bytes: less than the specification or a checkpoint needs.
    const limited = await runToy(bench.toy, runs, bench.plan, {}, [
      "sh",
      "-c",
      'ulimit -f 1; exec "$@"',
      "sh",
    ]);
    expect(limited.code).toBe(74);
    expect(limited.stderr).toMatch(/EFBIG: file too large/);
    await finish(bench, runs);
  });
  count(1);
});

row(
  "S5",
  "too little space for the run: refused, or forced; little more than enough: a warning",
  async (count) => {
    const space = 2 ** 20;
    for (const [bytes, force, code, warnings] of [
      [2 * space, false, 74, 0],
      [2 * space, true, 0, 1],
      [0.75 * space, false, 0, 1],
      [0.25 * space, false, 0, 0],
    ] as const) {
      await onTmpfs(`size=${space},mode=700`, async (runs) => {
        const options = { TOY_OPTIONS: JSON.stringify({ disk: { bytes, force } }) };
        const run = await runToy(bench.toy, runs, bench.plan, options);
        expect({ bytes, code: run.code }).toEqual({ bytes, code });
        const of = (kind: string) => run.events.filter(({ event }) => event === kind);
        expect(of("warning")).toHaveLength(warnings);
        expect(of("stage-started")).toHaveLength(code === 0 ? 2 : 0);
        if (code !== 0) expect(run.stderr).toMatch(/ free, and the run needs about 2\.0 MiB/);
        await finish(bench, runs);
      });
      count(1);
    }
  },
  { skip: needsMount },
);

row(
  "S4",
  "a read-only file system",
  async (count) => {
    await onTmpfs("size=16m,mode=700", async (runs, remount) => {
      remount("ro");
      const { code, stderr, events } = await runToy(bench.toy, runs, bench.plan);
      expect(code).toBe(73);
      expect(stderr).toMatch(/^cannot create the directory .*: EROFS/);
      expect(events).toEqual([]);
      remount("rw");
      await finish(bench, runs);
      remount("ro");
      expect((await runToy(bench.toy, runs, bench.plan)).code).toBe(73);
    });
    count(1);
  },
  { skip: needsMount },
);

row(
  "S4",
  "a directory without permission, as another user",
  async (count) => {
    await inTemporaryDirectory(async (parent) => {
      chmodSync(parent, 0o755);
      const runs = join(parent, "runs");
      mkdirSync(runs, { mode: 0o755 });
      const asNobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
      const probe = spawnSync(asNobody[0]!, [...asNobody.slice(1), process.execPath, "-e", "0"]);
      if (probe.status !== 0) throw new Error("node cannot be run as nobody");
      // A copy that nobody may read: the checkout may be private.
      const executorScript = join(parent, "executor.mjs");
      copyFileSync(bench.toy.executorScript, executorScript);
      const toy = { ...bench.toy, executorScript };
      const { code, stderr, events } = await runToy(toy, runs, bench.plan, {}, asNobody);
      expect({ code, events }).toEqual({ code: 73, events: [] });
      expect(stderr).toMatch(/EACCES/);
    });
    count(1);
  },
  { skip: process.getuid?.() === 0 ? false : "needs root to become somebody else" },
);

row("S7", "eight executors of one run at once", async (count) => {
  for (let round = 0; round < 12; round++) {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ steps: 6, saveEvery: 2, misbehave: "hang", at: 2 });
      const started = performance.now();
      const all = Array.from({ length: 8 }, () => startToy(bench.toy, runs, plan));
      const winner = await Promise.any(
        all.map((run) => run.misbehaving("pretrain").then(() => run)),
      );
      const losers = await Promise.all(
        all.filter((run) => run !== winner).map((run) => run.exited),
      );
      const seconds = (performance.now() - started) / 1000;
      for (const { code, stderr } of losers) {
        expect(code).toBe(75);
        expect(stderr).toMatch(
          /is in use by process \d+ on \S+ since |is in use by an unknown process/,
        );
      }
      // Eight starts of Node on the machine at hand, and the refusals.
      expect(seconds).toBeLessThan(8);
      winner.child.kill("SIGTERM");
      await winner.exited;
      await runToy(bench.toy, runs, plan);
      await expectSound(runs);
    });
    count(8);
  }
});

row("S7", "a second executor is refused in less than a second", async (count) => {
  await inMemoryDirectory(async (runs) => {
    const plan = toyPlan({ steps: 6, saveEvery: 2, misbehave: "hang", at: 2 });
    const first = startToy(bench.toy, runs, plan);
    await first.misbehaving("pretrain");
    const times: number[] = [];
    for (let round = 0; round < 10; round++) {
      const started = performance.now();
      const second = await runToy(bench.toy, runs, plan);
      times.push(performance.now() - started);
      expect(second.code).toBe(75);
      expect(second.stderr).toContain(`process ${first.child.pid} on ${hostname()} since `);
      count(1);
    }
    expect(Math.min(...times)).toBeLessThan(1000);
    first.child.kill("SIGTERM");
    await first.exited;
  });
});

row("S8", "two runs of one store need the same stages at the same time", async (count) => {
  for (let round = 0; round < 10; round++) {
    await inMemoryDirectory(async (runs) => {
      const other = { ...bench.plan, name: "other" };
      const both = await Promise.all([
        runToy(bench.toy, runs, bench.plan),
        runToy(bench.toy, runs, other),
      ]);
      expect(both.map(({ code, stderr }) => ({ code, stderr }))).toEqual([
        { code: 0, stderr: "" },
        { code: 0, stderr: "" },
      ]);
      expect(artifacts(runs, bench.plan)).toEqual(bench.expected);
      await expectSound(runs);
      await expectSound(runs, "other");
    });
    count(1);
  }
});

row("S9", "locks whose holders are gone", async (count) => {
  const gone: [string, object][] = [
    ["a dead process", { pid: 4_194_300 }],
    ["a process id given away again", { startTime: "1" }],
    ["a boot before this one", { bootId: "00000000-0000-0000-0000-000000000000" }],
  ];
  for (const [, change] of gone) {
    for (const path of [undefined, "/nonexistent"]) {
      await inMemoryDirectory(async (runs) => {
        mkdirSync(join(runs, "toy"), { mode: 0o700 });
        const holder = {
          ...thisProcess(),
          nonce: "n",
          command: "dllm",
          since: "2026-01-15T09:30:00Z",
          ...change,
        };
        for (const suffix of [".json", ".owner"]) {
          writeFileSync(join(runs, "toy", `run.lock${suffix}`), JSON.stringify(holder), {
            mode: 0o600,
          });
        }
        writeFileSync(join(runs, "toy", "run.lock"), "", { mode: 0o600 });
        await runWithoutFlock(runs, path);
      });
      count(1);
    }
  }
});

/** Runs the plan with a PATH in which there may be no flock(1), or a useless one. */
async function runWithoutFlock(runs: string, path: string | undefined): Promise<void> {
  await finish(single, runs, path === undefined ? {} : { PATH: path });
}

row("S10", "without flock(1), and with one that the file system refuses", async (count) => {
  await inMemoryDirectory((runs) => runWithoutFlock(runs, "/nonexistent"));
  count(1);
  await inTemporaryDirectory(async (bin) => {
    writeFileSync(join(bin, "flock"), "#!/bin/sh\nexit 71\n");
    chmodSync(join(bin, "flock"), 0o755);
    await inMemoryDirectory((runs) => runWithoutFlock(runs, `${bin}:${process.env.PATH ?? ""}`));
    count(1);
    // Still one executor only.
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ steps: 6, saveEvery: 2, misbehave: "hang", at: 2 });
      const env = { PATH: `${bin}:${process.env.PATH ?? ""}` };
      const all = Array.from({ length: 4 }, () => startToy(bench.toy, runs, plan, env));
      const winner = await Promise.any(
        all.map((run) => run.misbehaving("pretrain").then(() => run)),
      );
      const losers = await Promise.all(
        all.filter((run) => run !== winner).map((run) => run.exited),
      );
      expect(losers.map(({ code }) => code)).toEqual([75, 75, 75]);
      winner.child.kill("SIGKILL");
      await winner.exited;
      expect((await runToy(bench.toy, runs, plan, env)).code).toBe(0);
      await expectSound(runs);
    });
    count(4);
  });
});

row("S17", "symbolic links in place of our own names", async (count) => {
  const names = [
    "plan.json",
    "recipe.resolved.json",
    "journal.jsonl",
    "run.lock",
    "run.lock.json",
    "stages",
  ];
  for (const name of names) {
    await inMemoryDirectory(async (runs) => {
      const victim = join(runs, "..", `victim-${process.pid}`);
      rmSync(victim, { recursive: true, force: true });
      mkdirSync(victim);
      writeFileSync(join(victim, "precious"), "precious");
      try {
        mkdirSync(join(runs, "toy"), { mode: 0o700 });
        symlinkSync(name === "stages" ? victim : join(victim, "precious"), join(runs, "toy", name));
        const { code, stderr } = await runToy(bench.toy, runs, bench.plan);
        // A file is replaced, link and all; what is written in place is refused.
        expect([0, 73], stderr).toContain(code);
        expect(readdirSync(victim)).toEqual(["precious"]);
        expect(readFileSync(join(victim, "precious"), "utf8")).toBe("precious");
      } finally {
        rmSync(victim, { recursive: true });
      }
    });
    count(1);
  }
});

row("S18", "paths that are too long", async (count) => {
  for (const length of [300, 5000]) {
    await inTemporaryDirectory(async (parent) => {
      const runs = join(
        parent,
        ...(length === 300 ? ["x".repeat(300)] : Array.from({ length: 25 }, () => "y".repeat(200))),
      );
      const { code, stderr, events } = await runToy(bench.toy, runs, bench.plan);
      expect(code).toBe(73);
      expect(stderr).toMatch(/ENAMETOOLONG[^]*too long/);
      expect(events).toEqual([]);
    });
    count(1);
  }
});

row("S18", "odd names of the directory of runs", async (count) => {
  for (const name of [
    "with space",
    "日本語 🙂",
    "-dash",
    "quote'\"",
    "new\nline",
    "z".repeat(255),
  ]) {
    await inMemoryDirectory(async (parent) => {
      await finish(single, join(parent, name));
    });
    count(1);
  }
});

const faketime = spawnSync("faketime", ["2030-01-01", "true"]).status === 0;

row(
  "S19",
  "clocks that jump ten years (faketime)",
  async (count) => {
    for (const jump of ["+10y", "-10y"]) {
      await inMemoryDirectory(async (runs) => {
        await finish(single, runs);
        const { code, events } = await runToy(bench.toy, runs, single.plan, {}, [
          "faketime",
          "-f",
          jump,
        ]);
        expect(code).toBe(0);
        expect(events.at(-1)).toMatchObject({ ran: [], reused: ["pretrain"] });
        for (const event of events) expect(event.elapsed_s).toBeLessThan(30);
        await expectSound(runs);
      });
      await inMemoryDirectory(async (runs) => {
        const plan = toyPlan({ steps: 6, saveEvery: 2, misbehave: "kill-itself", at: 4 });
        await runToy(bench.toy, runs, plan);
        const resumed = await runToy(bench.toy, runs, plan, {}, ["faketime", "-f", jump]);
        expect(resumed.code).toBe(0);
        expect(artifacts(runs, plan)).toEqual(single.expected);
        await expectSound(runs);
      });
      count(2);
    }
  },
  { skip: faketime ? false : "needs faketime" },
);

row("S19", "files from the future and the past", async (count) => {
  for (const time of [new Date(4e12), new Date(0)]) {
    await inMemoryDirectory(async (runs) => {
      await finish(bench, runs);
      for (const entry of readdirSync(runs, { recursive: true, withFileTypes: true })) {
        if (!entry.isSymbolicLink()) utimesSync(join(entry.parentPath, entry.name), time, time);
      }
      const { events } = await runToy(bench.toy, runs, bench.plan);
      expect(events.at(-1)).toMatchObject({ ran: [], reused: ["pretrain", "sft"] });
    });
    count(1);
  }
});

row("S20", "every umask", async (count) => {
  for (const umask of ["000", "002", "022", "027", "077"]) {
    await inMemoryDirectory(async (runs) => {
      const wrapper = ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"];
      expect((await runToy(bench.toy, runs, bench.plan, {}, wrapper)).code).toBe(0);
      // fsck looks at the modes of all files.
      await expectSound(runs);
    });
    count(1);
  }
});

row("S21", "EMFILE at every tenth operation", async (count) => {
  count(
    await everyN(
      (n) => breakAndFinish(single, `any:${n}:emfile`, ioFailed("EMFILE")),
      (n) => n + 10,
    ),
  );
});

row("S21", "a limit of open files (ulimit -n)", async (count) => {
  for (const limit of [20, 24, 28, 32, 40]) {
    await inMemoryDirectory(async (runs) => {
      const wrapper = ["sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh"];
      // Below some number Node itself does not start: any end is fine but one that lies.
      await runToy(bench.toy, runs, bench.plan, {}, wrapper);
      await finish(bench, runs);
    });
    count(1);
  }
});

row(
  "S21",
  "a file system without inodes",
  async (count) => {
    for (const inodes of [12, 20, 30, 40]) {
      await onTmpfs(`size=16m,nr_inodes=${inodes},mode=700`, async (runs, remount) => {
        const full = await runToy(bench.toy, runs, bench.plan);
        expect([1, 74]).toContain(full.code);
        remount("nr_inodes=10000");
        await finish(bench, runs);
      });
      count(1);
    }
  },
  { skip: needsMount },
);
