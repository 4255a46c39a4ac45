/** @file What a run does when the storage below it is not as it should be. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { publishDirectory, writeFile, writeFileAtomic } from "../../src/base/fs.js";
import { openJsonLines } from "../../src/base/json-lines.js";
import { openStore } from "../../src/run/store.js";
import { watchInputs } from "../../src/stages/watch-inputs.js";
import type { StageJob } from "../../src/plan/stage.js";
import { expectSound } from "../support/oracle.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";
import { artifacts, bundleToy, runToy, startToy, toyPlan, type Toy } from "./toy-runs.js";

vi.setConfig({ testTimeout: 60_000 });

let toy: Toy;
const calm = { steps: 6, saveEvery: 2 };
beforeAll(async () => {
  toy = await bundleToy();
});

const stage = (runs: string, id: string) => join(runs, "toy", "stages", id);

test("files are private to the user under any umask, and published ones read-only", async () => {
  for (const umask of [0o000, 0o022, 0o077]) {
    await inMemoryDirectory(async (runs) => {
      const before = process.umask(umask);
      try {
        expect((await runToy(toy, runs, toyPlan(calm))).code).toBe(0);
      } finally {
        process.umask(before);
      }
      const wrong: string[] = [];
      let files = 0;
      const look = (path: string, published: boolean): void => {
        const stats = lstatSync(path);
        if (stats.isSymbolicLink()) return;
        const expected = stats.isDirectory() ? 0o700 : published ? 0o444 : 0o600;
        if ((stats.mode & 0o777) !== expected) wrong.push(`${path} ${stats.mode.toString(8)}`);
        if (!stats.isDirectory()) files++;
        else {
          for (const name of readdirSync(path)) {
            look(join(path, name), published || /^(output|step-\d+)$/.test(name));
          }
        }
      };
      for (const name of readdirSync(runs)) look(join(runs, name), false);
      expect(wrong).toEqual([]);
      expect(files).toBeGreaterThan(15);
    });
  }
});

describe("symbolic links in place of our own names", () => {
  test("are not written through", async () => {
    await inMemoryDirectory(async (directory) => {
      const target = join(directory, "precious");
      writeFileSync(target, "precious");
      const link = join(directory, "link");
      symlinkSync(target, link);
      await expect(writeFile(link, "x")).rejects.toMatchObject({ exitCode: 73 });
      expect(() => openJsonLines(link, { tornPath: join(directory, "torn") })).toThrow(/ELOOP/);
      await writeFileAtomic(link, "mine");
      expect(readFileSync(target, "utf8")).toBe("precious");
      expect(lstatSync(link).isFile()).toBe(true);
    });
  });

  test.each(["checkpoints", "output", "metrics.jsonl", "lock"])("%s of a stage", async (name) => {
    await inMemoryDirectory(async (runs) => {
      const victim = join(runs, "victim");
      mkdirSync(victim);
      writeFileSync(join(victim, "precious"), "precious");
      const plan = toyPlan(calm);
      const working = join(runs, ".store", "stages", plan.stages[0]!.fingerprint);
      mkdirSync(working, { recursive: true, mode: 0o700 });
      symlinkSync(name.includes(".") ? join(victim, "new") : victim, join(working, name));
      const { code } = await runToy(toy, runs, plan);
      // What is no artifact is set aside; nothing else can be.
      expect(code).toBe(name === "output" ? 0 : 73);
      expect(readdirSync(victim)).toEqual(["precious"]);
    });
  });
});

test("a result that is another artifact's is no result", async () => {
  await inMemoryDirectory(async (runs) => {
    const plan = toyPlan(calm);
    await runToy(toy, runs, plan);
    const { fingerprint } = plan.stages[0]!;
    const path = join(stage(runs, "pretrain"), "result.json");
    const result = JSON.parse(readFileSync(path, "utf8")) as object;
    writeFileSync(path, JSON.stringify({ ...result, artifact: "0".repeat(64) }));
    expect(openStore(runs).finished(fingerprint)).toBeUndefined();
  });
});

test("what an interrupted checkpoint left is removed by the next attempt", async () => {
  await inMemoryDirectory(async (runs) => {
    const plan = toyPlan(calm);
    await runToy(toy, runs, plan, { DLLM_FAULT: "rename@/checkpoints:1:kill" });
    const checkpoints = join(stage(runs, "pretrain"), "checkpoints");
    expect(readdirSync(checkpoints)).toEqual([expect.stringMatching(/^\.tmp-\d+-\d+$/)]);
    expect((await runToy(toy, runs, plan)).code).toBe(0);
    await expectSound(runs);
  });
});

test("an output whose result was not written is completed, not computed again", async () => {
  await inMemoryDirectory(async (runs) => {
    const plan = toyPlan(calm);
    const killed = await runToy(toy, runs, plan, { DLLM_FAULT: "rename@/result.json:1:kill" });
    expect(killed.code).toBe(1);
    const { code, events } = await runToy(toy, runs, plan);
    expect(code).toBe(0);
    expect(events.some(({ event }) => event === "quarantined")).toBe(false);
    const log = readFileSync(join(stage(runs, "pretrain"), "out.log"), "utf8");
    expect(log.match(/begins at step/g)).toHaveLength(1);
    await expectSound(runs);
  });
});

describe("checkpoints", () => {
  const hanging = { steps: 12, saveEvery: 3, misbehave: "hang", at: 10 } as const;
  const plan = toyPlan(hanging);

  async function interrupt(runs: string): Promise<string> {
    const run = startToy(toy, runs, plan);
    const started = await run.event(({ event }) => event === "stage-started");
    await run.misbehaving("pretrain");
    process.kill((started as unknown as { pid: number }).pid, "SIGKILL");
    await run.exited;
    return join(stage(runs, "pretrain"), "checkpoints");
  }

  test("that are damaged cost the steps since the one before, and that is said", async () => {
    await inMemoryDirectory(async (runs) => {
      const checkpoints = await interrupt(runs);
      rmSync(join(checkpoints, "step-000009", "moments.bin"));
      const { code, events } = await runToy(toy, runs, plan);
      expect(code).toBe(0);
      expect(events.find(({ event }) => event === "quarantined")).toMatchObject({
        problem: expect.stringMatching(
          /moments\.bin: damaged: found no file, expected 512 bytes; 3 steps are computed again$/,
        ) as string,
      });
      await expectSound(runs);
    });
  });

  test("that are all damaged end the run, unless beginning anew is allowed", async () => {
    await inMemoryDirectory(async (runs) => {
      const checkpoints = await interrupt(runs);
      for (const name of readdirSync(checkpoints)) {
        rmSync(join(checkpoints, name, "state.txt"));
      }
      const refused = await runToy(toy, runs, plan);
      expect(refused.code).toBe(65);
      expect(refused.events.find(({ event }) => event === "stage-failed")).toMatchObject({
        message: expect.stringMatching(
          /^stage pretrain: all checkpoints in \S+ are damaged$/,
        ) as string,
        details: [
          expect.stringMatching(/step-000009\/state\.txt: damaged: found no file/),
          expect.stringMatching(/step-000006\/state\.txt: damaged: found no file/),
          "restore one of them; or give them up and begin anew with: dllm run --allow-restart",
          expect.stringMatching(/^its log: /),
        ],
      });
      // Nothing was touched: they can still be restored.
      expect(readdirSync(checkpoints).sort()).toEqual(["step-000006", "step-000009"]);
      const allowed = await runToy(toy, runs, plan, { TOY_ALLOW_RESTART: "1" });
      expect(allowed.code).toBe(0);
      await inMemoryDirectory(async (other) => {
        await runToy(toy, other, toyPlan({ steps: 12, saveEvery: 3 }));
        expect(artifacts(runs, plan)).toEqual(artifacts(other, plan));
      });
      await expectSound(runs);
    });
  });
});

describe("the inputs of a stage", () => {
  async function withInput(use: (input: string, job: StageJob) => Promise<void>): Promise<void> {
    await inMemoryDirectory(async (directory) => {
      const input = join(directory, "input");
      await publishDirectory({ target: input }, (inside) => writeFile(join(inside, "a"), "hello"));
      await use(input, { id: "sft", inputs: { model: input } } as unknown as StageJob);
    });
  }

  test("are verified before it runs", async () => {
    await withInput(async (input, job) => {
      rmSync(join(input, "a"));
      await expect(watchInputs(job)).rejects.toThrow(/input\/a: damaged: found no file/);
    });
  });

  test("may be touched, but not changed, while it runs", async () => {
    await withInput(async (input, job) => {
      const watched = await watchInputs(job);
      await watched.verifyUnchanged();
      // A backup or a copy changes times and numbers, not the content.
      utimesSync(join(input, "a"), new Date(0), new Date(4e12));
      await watched.verifyUnchanged();
      rmSync(join(input, "a"));
      writeFileSync(join(input, "a"), "jello");
      await expect(watched.verifyUnchanged()).rejects.toMatchObject({
        exitCode: 65,
        message: "its input model changed while it ran",
      });
      rmSync(input, { recursive: true });
      await expect(watched.verifyUnchanged()).rejects.toMatchObject({ exitCode: 65 });
    });
  });

  test("that change while it runs are stored under no name", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan(calm, { ...calm, misbehave: "wait", at: 3 });
      const run = startToy(toy, runs, plan);
      await run.misbehaving("sft");
      const state = join(stage(runs, "pretrain"), "output", "state.txt");
      rmSync(state);
      writeFileSync(state, "x".repeat(64), { mode: 0o600 });
      writeFileSync(join(stage(runs, "sft"), "go"), "", { mode: 0o600 });
      expect(await run.exited).toMatchObject({
        code: 65,
        stderr: "stage sft: its input model changed while it ran\n",
      });
      expect(existsSync(join(stage(runs, "sft"), "output"))).toBe(false);
      const { code, events } = await runToy(toy, runs, plan);
      expect(code).toBe(0);
      expect(events.at(-1)).toMatchObject({ ran: ["pretrain", "sft"] });
      await expectSound(runs);
    });
  });
});
