/** @file status, logs, cancel, fsck and gc against the runs of toy stages. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { runCli } from "../../src/cli.js";
import { readRunStatus } from "../../src/run/run-status.js";
import { bundleToy, isRunning, runToy, startToy, toyPlan, type Toy } from "../run/toy-runs.js";
import { fakeIo } from "../support/recipes.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";

vi.setConfig({ testTimeout: 30_000 });

let toy: Toy;
beforeAll(async () => {
  toy = await bundleToy();
});

const calm = { steps: 6, saveEvery: 2 };
const hanging = { steps: 6, saveEvery: 2, misbehave: "hang", at: 3 } as const;

async function dllm(...argv: string[]) {
  const io = fakeIo();
  const exitCode = await runCli(argv, io);
  return { exitCode, stdout: io.stdout(), stderr: io.stderr() };
}

const toyStage = (runs: string, id: string) => join(runs, "toy", "stages", id);

describe("status", () => {
  test("of a run that goes on: progress, time left, holder; and of one that ended", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan(calm, hanging, calm);
      plan.stages = plan.stages.map((stage) => {
        return { ...stage, estimate: { units: 6, unit: "step" } };
      });
      const run = startToy(toy, runs, plan);
      await run.misbehaving("sft");
      const { stdout } = await dllm("status", "toy", "--runs", runs);
      const shown = stdout
        .replaceAll(/process \d+ on \S+ since \S+ \([^)]*\)/g, "<holder>")
        .replaceAll(/\d+\.\d s/g, "<time>");
      expect(shown).toBe(
        [
          "toy  running  1 of 3 stages finished",
          "  by <holder>",
          "  pretrain  finished, in <time>",
          "  sft       running, step 3/6 (50 %), <time> left, checkpoint at step 2, <holder>",
          "  eval      waiting",
          "",
        ].join("\n"),
      );
      run.child.kill("SIGTERM");
      await run.exited;
      const after = await dllm("status", "toy", "--runs", runs, "--json");
      expect(JSON.parse(after.stdout)).toMatchObject({
        run: "toy",
        state: "unfinished",
        stages: [{ state: "finished" }, { state: "resumable", checkpointStep: 3 }, {}],
      });
      expect((await dllm("status", "--runs", runs)).stdout).toBe(
        "toy  unfinished  1 of 3 stages finished\n",
      );
    });
  });

  test("of a sweep: trials by their metric", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan(calm, calm);
      plan.sweep = {
        method: "grid",
        metric: { name: "steps", goal: "maximize" },
        trials: [
          { id: "lr-1", parameters: { "sft.learning_rate": 1 }, stages: { sft: "sft" } },
          { id: "lr-2", parameters: { "sft.learning_rate": 2 }, stages: { pretrain: "pretrain" } },
          { id: "lr-3", parameters: { "sft.learning_rate": 3 }, stages: { sft: "absent" } },
        ],
      };
      await runToy(toy, runs, plan);
      const sft = join(toyStage(runs, "sft"), "result.json");
      writeFileSync(sft, readFileSync(sft, "utf8").replace('"steps": 6', '"steps": 7'));
      const { stdout } = await dllm("status", "toy", "--runs", runs);
      expect(stdout.slice(stdout.indexOf("trials"))).toBe(
        [
          "trials",
          "  lr-1  finished, 1 of 1 stages, 7, the best so far",
          "  lr-2  finished, 1 of 1 stages, 6",
          "  lr-3  waiting, 0 of 1 stages",
          "",
        ].join("\n"),
      );
    });
  });

  test("of ten thousand stages takes less than a second", async () => {
    await inMemoryDirectory((runs) => {
      const directory = join(runs, "big");
      mkdirSync(join(directory, "stages"), { recursive: true });
      const template = toyPlan(calm).stages[0]!;
      const stages = Array.from({ length: 10_000 }, (_, i) => {
        const id = `stage-${i}`;
        const fingerprint = i.toString(16).padStart(64, "0");
        const working = join(directory, "stages", id);
        // Half finished, half never begun.
        if (i % 2 === 0) {
          mkdirSync(working);
          const result = { schema: 1, reason: "ok", fingerprint, id, kind: "sft", artifact: "a" };
          const times = { durationSeconds: 1, totalSeconds: 1, metrics: {} };
          writeFileSync(join(working, "result.json"), JSON.stringify({ ...result, ...times }));
        }
        return { ...template, id, fingerprint };
      });
      writeFileSync(
        join(directory, "plan.json"),
        JSON.stringify({ ...toyPlan(calm), name: "big", stages }),
      );
      // The best of three: others may use the machine too.
      const times: number[] = [];
      let status = readRunStatus(directory);
      for (let round = 0; round < 3; round++) {
        const started = performance.now();
        status = readRunStatus(directory);
        times.push(performance.now() - started);
      }
      expect(Math.min(...times)).toBeLessThan(1000);
      expect(status.stages.filter(({ state }) => state === "finished")).toHaveLength(5000);
      return Promise.resolve();
    });
  });

  test("of a plan that a newer version wrote is refused, not guessed", async () => {
    await inMemoryDirectory(async (runs) => {
      mkdirSync(join(runs, "toy"));
      const plan = join(runs, "toy", "plan.json");
      writeFileSync(plan, '{"schema": 2, "stages": []}');
      expect(await dllm("status", "toy", "--runs", runs)).toEqual({
        exitCode: 78,
        stdout: "",
        stderr: `error: ${plan}: schema 2, and this version of dllm reads schema 1
  a newer dllm wrote it: use that one, or run the recipe again in another --runs\n`,
      });
      writeFileSync(plan, '{"schema": 1, "stages": [{"id": "../x"}]}');
      expect(await dllm("status", "toy", "--runs", runs)).toEqual({
        exitCode: 65,
        stdout: "",
        stderr: `error: ${plan}: damaged: found other content, expected a plan of schema 1
  run the recipe again to write a new one\n`,
      });
    });
  });
});

describe("logs", () => {
  test("of the newest stage, or the named one; only the last lines; nothing that moves the cursor", async () => {
    await inMemoryDirectory(async (runs) => {
      await runToy(toy, runs, toyPlan(calm, { ...calm, misbehave: "exit-nine", at: 3 }));
      const log = join(runs, "toy", "stages", "sft", "out.log");
      expect(await dllm("logs", "toy", "--runs", runs)).toEqual({
        exitCode: 0,
        stdout: "begins at step 0\nlast words\n",
        stderr: `stage sft (${log})\n`,
      });
      expect(await dllm("logs", "toy", "pretrain", "--runs", runs)).toEqual({
        exitCode: 0,
        stdout: "begins at step 0\n",
        stderr: "",
      });
      writeFileSync(
        log,
        `one\ntwo\r\u001b[2J\u001b]52;c;x\u0007\n${"x".repeat(10_000)}\nunfinished`,
      );
      expect((await dllm("logs", "toy", "sft", "-n", "3", "--runs", runs)).stdout).toBe(
        `two\n${"x".repeat(8192)}…\nunfinished\n`,
      );
      expect((await dllm("logs", "toy", "sft", "-n", "0", "--runs", runs)).stdout).toBe("");
      expect(await dllm("logs", "toy", "nosuch", "--runs", runs)).toEqual({
        exitCode: 66,
        stdout: "",
        stderr: `error: no stage "nosuch" in ${join(runs, "toy")}\n  it has: pretrain, sft\n`,
      });
    });
  });

  test("-f follows from one stage to the next until the run ends", async () => {
    await inMemoryDirectory(async (runs) => {
      const run = startToy(toy, runs, toyPlan(hanging, { ...hanging, at: 2 }));
      await run.misbehaving("pretrain");
      const pid = ((await run.event(({ event }) => event === "stage-started")) as { pid?: number })
        .pid;
      const following = dllm("logs", "toy", "-f", "--runs", runs);
      await delay(300);
      // Nothing but its end lets a hanging stage go on: a second attempt does not hang.
      process.kill(pid!, "SIGTERM");
      await run.exited;
      const resumed = startToy(toy, runs, toyPlan(hanging, { ...hanging, at: 2 }));
      await resumed.misbehaving("sft");
      const second = dllm("logs", "toy", "-f", "--runs", runs);
      await delay(300);
      resumed.child.kill("SIGTERM");
      await resumed.exited;
      const path = (id: string) => join(runs, "toy", "stages", id, "out.log");
      expect(await following).toEqual({
        exitCode: 0,
        stdout: "begins at step 0\nstage pretrain: stopped on request\n",
        stderr: `stage pretrain (${path("pretrain")})\n`,
      });
      expect(await second).toEqual({
        exitCode: 0,
        stdout: "begins at step 0\nstage sft: stopped on request\n",
        stderr: `stage sft (${path("sft")})\n`,
      });
    });
  });
});

describe("cancel", () => {
  test("stops the executor, waits, and says how to go on", async () => {
    await inMemoryDirectory(async (runs) => {
      const run = startToy(toy, runs, toyPlan(hanging));
      await run.misbehaving("pretrain");
      const cancelled = await dllm("cancel", "toy", "--runs", runs);
      expect(cancelled).toEqual({
        exitCode: 0,
        stdout: `toy is stopped: pretrain at step 3\nto go on: dllm resume toy --runs ${runs}\n`,
        stderr: `sent SIGTERM to process ${run.child.pid}, waiting for its end\n`,
      });
      expect(await run.exited).toMatchObject({ signal: "SIGTERM" });
      expect(await dllm("cancel", "toy", "--runs", runs)).toEqual({
        exitCode: 0,
        stdout: "toy is not running\n",
        stderr: "",
      });
    });
  });

  test("--kill ends a stage that does not stop", async () => {
    await inMemoryDirectory(async (runs) => {
      const run = startToy(toy, runs, toyPlan({ ...hanging, misbehave: "ignore-stop" }));
      await run.misbehaving("pretrain");
      const { pid } = (await run.event(({ event }) => event === "stage-started")) as unknown as {
        pid: number;
      };
      const slow = await dllm("cancel", "toy", "--timeout", "1", "--runs", runs);
      expect(slow).toMatchObject({ exitCode: 75, stdout: "" });
      expect(slow.stderr).toMatch(/^sent SIGTERM .*\nerror: \S+\/toy is still being stopped: /);
      expect((await dllm("cancel", "toy", "--kill", "--runs", runs)).exitCode).toBe(0);
      expect(isRunning(pid)).toBe(false);
    });
  });

  test("signals nobody when the number belongs to another process by now", async () => {
    await inMemoryDirectory(async (runs) => {
      await runToy(toy, runs, toyPlan(calm));
      const lock = join(runs, "toy", "run.lock.json");
      const holder = { host: "elsewhere", bootId: "b", pid: 1, startTime: "1" };
      const about = { command: "dllm run", since: "2026-01-15T09:30:00Z" };
      writeFileSync(lock, JSON.stringify({ ...holder, ...about }));
      expect(await dllm("cancel", "toy", "--runs", runs)).toEqual({
        exitCode: 69,
        stdout: "",
        stderr: `error: ${join(runs, "toy")} is run by process 1 on elsewhere since 2026-01-15T09:30:00Z (dllm run)
  a process can only be stopped on its own host: run the command on elsewhere\n`,
      });
      const { hostname } = await import("node:os");
      writeFileSync(
        lock,
        JSON.stringify({ ...holder, ...about, host: hostname(), pid: process.pid }),
      );
      expect((await dllm("cancel", "toy", "--runs", runs)).stdout).toBe("toy is not running\n");
    });
  });
});

describe("fsck", () => {
  let template: string;
  beforeAll(async () => {
    template = mkdtempSync(join(tmpdir(), "dllm-template-"));
    await runToy(toy, template, toyPlan(calm, calm));
  });
  afterAll(() => rmSync(template, { recursive: true }));

  /** A finished run; copied, as its stages take a second. */
  function copyRun(runs: string): void {
    cpSync(template, runs, { recursive: true, verbatimSymlinks: true });
  }

  test("finds nothing wrong with a run, and says what it looked at", async () => {
    await inMemoryDirectory(async (runs) => {
      copyRun(runs);
      const one = await dllm("fsck", "toy", "--runs", runs);
      expect(one).toMatchObject({ exitCode: 0, stderr: "" });
      const files = Number(
        /^everything is in order: 1 run, 2 stages, (\d+) files\n$/.exec(one.stdout)?.[1],
      );
      expect(files).toBeGreaterThan(30);
      const all = await dllm("fsck", "--runs", runs, "--json");
      expect(JSON.parse(all.stdout)).toEqual({ ok: true, runs: 1, stages: 2, files, problems: [] });
    });
  });

  const damages: [string, (runs: string) => void, RegExp][] = [
    [
      "a changed artifact",
      (runs) => overwrite(join(toyStage(runs, "sft"), "output", "state.txt"), "x".repeat(64)),
      /output\/state\.txt: damaged: found sha256/,
    ],
    [
      "a missing artifact",
      (runs) => rmSync(join(toyStage(runs, "sft"), "output"), { recursive: true }),
      /output: is missing, but there is a result of it$/,
    ],
    [
      "another artifact's result",
      (runs) =>
        overwrite(
          join(toyStage(runs, "sft"), "result.json"),
          readFileSync(join(toyStage(runs, "pretrain"), "result.json"), "utf8"),
        ),
      /output: .*result\.json is not a result of this fingerprint$/,
    ],
    [
      "a missing result",
      (runs) => rmSync(join(toyStage(runs, "sft"), "result.json")),
      /output: there is no result of it$/,
    ],
    [
      "a cut checkpoint",
      (runs) =>
        overwrite(join(toyStage(runs, "sft"), "checkpoints", "step-000004", "moments.bin"), "x"),
      /moments\.bin: damaged: found 1 bytes, expected 512 bytes$/,
    ],
    [
      "a renamed checkpoint",
      (runs) =>
        renameSync(
          join(toyStage(runs, "sft"), "checkpoints", "step-000004"),
          join(toyStage(runs, "sft"), "checkpoints", "step-000009"),
        ),
      /step-000009: is the checkpoint of step 4$/,
    ],
    [
      "a specification of another stage",
      (runs) =>
        overwrite(join(toyStage(runs, "sft"), "spec.json"), '{"schema":1,"fingerprint":"f"}'),
      /spec\.json: is of fingerprint f, expected [0-9a-f]{64}$/,
    ],
    [
      "leftovers",
      (runs) => mkdirSync(join(toyStage(runs, "sft"), "checkpoints", ".tmp-1-1"), { mode: 0o700 }),
      /\.tmp-1-1: left by a writer that was interrupted$/,
    ],
    [
      "a torn journal",
      (runs) => append(join(runs, "toy", "journal.jsonl"), '{"time":'),
      /journal\.jsonl: its last line is torn \(8 bytes\): the next run cuts it off$/,
    ],
    [
      "a damaged journal",
      (runs) => append(join(runs, "toy", "journal.jsonl"), "\0\0\n"),
      /journal\.jsonl: 1 lines are no events$/,
    ],
    [
      "time that runs backwards",
      (runs) =>
        append(
          join(runs, "toy", "journal.jsonl"),
          '{"event":"run-started","elapsed_s":2,"stages":[]}\n{"event":"run-finished","elapsed_s":1}\n',
        ),
      /journal\.jsonl: event \d+ \(run-finished\) is at 1 s, after one at 2 s$/,
    ],
    [
      "an event of a stage that is not there",
      (runs) =>
        append(
          join(runs, "toy", "journal.jsonl"),
          '{"event":"run-started","elapsed_s":2,"stages":[]}\n{"event":"stage-resumed","stage":"other","elapsed_s":2}\n',
        ),
      /is of stage other, which the execution does not have$/,
    ],
    [
      "a lost finished stage",
      (runs) =>
        rmSync(
          join(
            runs,
            ".store",
            "stages",
            readFileSync(join(runs, "toy", "plan.json"), "utf8").match(
              /"fingerprint": "(\w+)"/,
            )![1]!,
          ),
          { recursive: true },
        ),
      /its directory in the store is gone: .*\n.*stage pretrain was finished with artifact [0-9a-f]{64}, found none$/,
    ],
    [
      "a record that is none",
      (runs) => append(join(toyStage(runs, "sft"), "metrics.jsonl"), "{\n"),
      /metrics\.jsonl: 1 lines are no records$/,
    ],
    [
      "a resume that left steps out",
      (runs) =>
        append(
          join(toyStage(runs, "sft"), "metrics.jsonl"),
          '{"step":3,"loss":0.3333333333333333}\n{"step":6,"loss":0.16666666666666666}\n',
        ),
      /metrics\.jsonl: 2 steps before step 6 not repeated after a resume$/,
    ],
    [
      "a resume that was not exact",
      (runs) => append(join(toyStage(runs, "sft"), "metrics.jsonl"), '{"step":6,"loss":0.2}\n'),
      /metrics\.jsonl: step 6 has loss 0\.16666666666666666 and, repeated, 0\.2: the resume was not exact$/,
    ],
    [
      "a link to elsewhere",
      (runs) => relink(toyStage(runs, "sft"), "/etc"),
      /stages\/sft: links to \/etc, expected \.\.\/\.\.\/\.store/,
    ],
    [
      "a symbolic link in place of a directory",
      (runs) => relink(join(toyStage(runs, "sft"), "checkpoints"), "/tmp"),
      /checkpoints: is a symbolic link: nothing of a run is$/,
    ],
    [
      "files that others can read",
      (runs) => chmodSync(join(runs, "toy", "plan.json"), 0o644),
      /plan\.json: has mode 0644, expected 0600: others can reach it$/,
    ],
    [
      "a stage of no plan",
      (runs) => symlinkSync("x", join(runs, "toy", "stages", "old")),
      /stages\/old: is no stage of the plan$/,
    ],
    [
      "no plan",
      (runs) => overwrite(join(runs, "toy", "plan.json"), "{"),
      /plan\.json: not valid JSON/,
    ],
    [
      "no recipe",
      (runs) => rmSync(join(runs, "toy", "recipe.resolved.json")),
      /cannot read .*recipe\.resolved\.json: ENOENT/,
    ],
  ];
  test.each(damages)("finds %s", async (_, damage, message) => {
    await inMemoryDirectory(async (runs) => {
      copyRun(runs);
      damage(runs);
      const { exitCode, stdout, stderr } = await dllm("fsck", "toy", "--runs", runs);
      expect(stderr).toBe("");
      expect(exitCode).toBe(3);
      const found = stdout
        .split("\n")
        .filter((line) => !/^ {2}|problems? in |^the next run|^$/.test(line));
      expect(found.join("\n")).toMatch(message);
      expect(stdout).toContain(`${found.length} problem${found.length === 1 ? "" : "s"} in 1 run`);
    });
  });

  test("counts what others can reach, so that a copied run does not bury its damage", async () => {
    await inMemoryDirectory(async (runs) => {
      copyRun(runs);
      const directory = join(runs, "toy");
      chmodSync(directory, 0o755);
      chmodSync(join(directory, "plan.json"), 0o644);
      const { exitCode, stdout } = await dllm("fsck", "toy", "--runs", runs);
      expect({ exitCode, stdout: stdout.replaceAll(/\d+ files$/gm, "<n> files") }).toEqual({
        exitCode: 3,
        stdout: [
          `${directory}: others can reach 2 of its files and directories: ${directory} has mode 0755, expected 0700`,
          "  --repair would make them private",
          "1 problem in 1 run, 2 stages, <n> files",
          "the next run recovers what it needs; or run the command with --repair",
          "",
        ].join("\n"),
      });
      expect((await dllm("fsck", "toy", "--runs", runs, "--repair")).exitCode).toBe(0);
      expect((await dllm("fsck", "toy", "--runs", runs)).exitCode).toBe(0);
    });
  });

  test("of nothing does not say that all is well", async () => {
    await inMemoryDirectory(async (runs) => {
      expect(await dllm("fsck", "--runs", runs)).toMatchObject({
        exitCode: 0,
        stdout: "there are no runs to check\n",
      });
    });
  });

  test("finds a process that works for a run without executor", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ ...hanging, misbehave: "ignore-stop" });
      const run = startToy(toy, runs, plan);
      await run.misbehaving("pretrain");
      const { pid } = (await run.event(({ event }) => event === "stage-started")) as unknown as {
        pid: number;
      };
      expect((await dllm("fsck", "toy", "--runs", runs)).exitCode).toBe(0);
      run.child.kill("SIGKILL");
      await run.exited;
      const { exitCode, stdout } = await dllm("fsck", "toy", "--runs", runs);
      process.kill(pid, "SIGKILL");
      expect(exitCode).toBe(3);
      expect(stdout).toMatch(
        new RegExp(`^\\S+/toy: process ${pid} works for it, and no executor runs: \\S*node`),
      );
    });
  });

  test("--repair does what a run would, and then nothing is wrong", async () => {
    await inMemoryDirectory(async (runs) => {
      copyRun(runs);
      for (const [name, damage] of damages) {
        if (
          /^(a changed|leftovers|a torn journal|a stage of no plan|a link to|files that)/.test(name)
        )
          damage(runs);
      }
      const repaired = await dllm("fsck", "toy", "--runs", runs, "--repair");
      expect(repaired.stderr.match(/^repaired /gm)?.length).toBeGreaterThanOrEqual(5);
      expect((await dllm("fsck", "toy", "--runs", runs, "--repair")).stdout).toMatch(
        // What was acknowledged and then damaged is for the next run to compute.
        /stage sft was finished with artifact [0-9a-f]{64}, found none/,
      );
      expect((await runToy(toy, runs, toyPlan(calm, calm))).code).toBe(0);
      expect((await dllm("fsck", "toy", "--runs", runs)).exitCode).toBe(0);
      expect(
        readdirSync(join(runs, ".store", "stages", toyPlan(calm, calm).stages[1]!.fingerprint)),
      ).toContain("output.bad");
    });
  });

  test("--secret looks for a secret in every file, as it is and encoded", async () => {
    await inMemoryDirectory(async (runs) => {
      await runToy(toy, runs, toyPlan(calm));
      vi.stubEnv("CANARY", "hf_Sêcret+value");
      try {
        expect((await dllm("fsck", "toy", "--runs", runs, "--secret", "CANARY")).exitCode).toBe(0);
        const log = join(toyStage(runs, "pretrain"), "out.log");
        for (const text of [
          "hf_Sêcret+value",
          Buffer.from("hf_Sêcret+value").toString("base64"),
          "hf_S%C3%AAcret%2Bvalue",
        ]) {
          overwrite(log, `${"y".repeat(100_000)}${text} `);
          expect(await dllm("fsck", "toy", "--runs", runs, "--secret", "CANARY")).toMatchObject({
            exitCode: 3,
            stdout: expect.stringMatching(/out\.log: contains the secret\n1 problem in /) as string,
          });
        }
      } finally {
        vi.unstubAllEnvs();
      }
      expect(await dllm("fsck", "toy", "--runs", runs, "--secret", "NO_SUCH_VARIABLE")).toEqual({
        exitCode: 2,
        stdout: "",
        stderr: "error: --secret NO_SUCH_VARIABLE: the environment variable is not set\n",
      });
    });
  });
});

describe("gc", () => {
  const first = { steps: 5, saveEvery: 2 };

  test("removes what no run refers to, and nothing else", async () => {
    await inMemoryDirectory(async (runs) => {
      await runToy(toy, runs, toyPlan(first));
      await runToy(toy, runs, toyPlan(calm));
      const stages = join(runs, ".store", "stages");
      const old = join(stages, toyPlan(first).stages[0]!.fingerprint);
      mkdirSync(join(stages, ".trash-1-1"));
      mkdirSync(join(stages, "not-ours"));
      const size = "[\\d.]+ \\w+";

      const dry = await dllm("gc", "--dry-run", "--runs", runs);
      expect(dry.stdout).toMatch(
        new RegExp(
          `^would remove  leftover  ${join(stages, ".trash-1-1")}  ${size}\n` +
            `would remove  stage  ${old}  ${size}\n` +
            `would remove 2 of the store's directories, ${size}\n$`,
        ),
      );
      expect(existsSync(old)).toBe(true);
      expect((await dllm("gc", "--dry-run", "--keep", "2", "--runs", runs)).stdout).not.toContain(
        old,
      );

      const { exitCode, stdout } = await dllm("gc", "--runs", runs);
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/removed 2 of the store's directories, /);
      expect(readdirSync(stages).sort()).toEqual(
        [toyPlan(calm).stages[0]!.fingerprint, "not-ours"].sort(),
      );
      expect((await dllm("gc", "--runs", runs)).stdout).toBe("nothing to remove\n");
      rmSync(join(stages, "not-ours"), { recursive: true });
      expect((await dllm("fsck", "--runs", runs)).exitCode).toBe(0);
    });
  });

  test("--checkpoints removes those of finished stages only", async () => {
    await inMemoryDirectory(async (runs) => {
      await runToy(toy, runs, toyPlan(calm, { ...calm, misbehave: "bad-data", at: 3 }));
      await dllm("gc", "--checkpoints", "--runs", runs);
      expect(existsSync(join(toyStage(runs, "pretrain"), "checkpoints"))).toBe(false);
      expect(readdirSync(join(toyStage(runs, "sft"), "checkpoints"))).toEqual(["step-000002"]);
      expect((await dllm("fsck", "--runs", runs)).exitCode).toBe(0);
    });
  });

  test("spares what a stage process works on, though no run refers to it any more", async () => {
    await inMemoryDirectory(async (runs) => {
      const run = startToy(toy, runs, toyPlan(hanging));
      await run.misbehaving("pretrain");
      rmSync(join(runs, "toy", "plan.json"));
      const { stdout } = await dllm("gc", "--runs", runs);
      expect(stdout).toMatch(/^in use, kept {2}stage {2}\S+ {2}\d+ KiB\nnothing to remove\n$/);
      run.child.kill("SIGTERM");
      await run.exited;
    });
  });

  test("removes nothing while a run cannot say what it refers to", async () => {
    await inMemoryDirectory(async (runs) => {
      await runToy(toy, runs, toyPlan(first));
      await runToy(toy, runs, toyPlan(calm));
      const plan = join(runs, "toy", "plan.json");
      overwrite(plan, '{"schema":1}');
      expect(await dllm("gc", "--runs", runs)).toEqual({
        exitCode: 65,
        stdout: "",
        stderr: `error: ${plan}: damaged: found other content, expected a plan of schema 1
  what this run refers to is unknown, so nothing can be removed
  run its recipe again, or remove the run's directory\n`,
      });
    });
  });

  test("asks on a terminal", async () => {
    await inMemoryDirectory(async (runs) => {
      await runToy(toy, runs, toyPlan(first));
      await runToy(toy, runs, toyPlan(calm));
      const { PassThrough } = await import("node:stream");
      for (const [answer, removed] of [
        ["n\n", false],
        ["", false],
        ["y\n", true],
      ] as const) {
        const input = new PassThrough();
        input.end(answer);
        const io = { ...fakeIo(), isTty: true, input: input as unknown as NodeJS.ReadStream };
        expect(await runCli(["gc", "--runs", runs], io)).toBe(0);
        expect(io.stdout()).toMatch(
          /^remove {2}stage {2}.*\nremove 1 of the store's directories, \d+ KiB\? \[y\/N\] /,
        );
        expect(io.stdout().includes("removed 1 of")).toBe(removed);
      }
    });
  });
});

function overwrite(path: string, text: string): void {
  // Published files are read-only.
  rmSync(path, { force: true });
  writeFileSync(path, text, { mode: 0o600 });
}

function append(path: string, text: string): void {
  writeFileSync(path, readFileSync(path, "utf8") + text);
}

function relink(path: string, target: string): void {
  rmSync(path, { recursive: true });
  symlinkSync(target, path);
}
