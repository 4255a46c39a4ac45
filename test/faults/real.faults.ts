/** @file The real command with a real training, killed at random moments and by a closed pipe. */
import { spawn, type SpawnOptions } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { expectSound } from "../support/oracle.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";
import { row } from "./matrix.js";
import { random, seed } from "./toy.js";

const recipe = "recipes/quickstart.yaml";
const short = [
  ...["--set", "pretrain.max_steps=30", "--set", "sft.max_steps=40"],
  ...["--set", "sft.save_steps=0.2", "--set", "pretrain.save_steps=0.2", "--set", "eval.limit=4"],
];
const command = (runs: string) => ["bin/dllm.js", "run", recipe, "--runs", runs, ...short];

/** Runs a command to its end, without blocking the test runner. */
function run(
  words: readonly string[],
  options: SpawnOptions = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(words[0]!, words.slice(1), {
      stdio: ["ignore", "pipe", "pipe"],
      ...options,
    });
    let [stdout, stderr] = ["", ""];
    child.stdout?.on("data", (data: Buffer) => (stdout += data.toString()));
    child.stderr?.on("data", (data: Buffer) => (stderr += data.toString()));
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

const weights = (runs: string, stage: string) =>
  createHash("sha256")
    .update(readFileSync(join(runs, "quickstart/stages", stage, "output/model.safetensors")))
    .digest("hex");
const all = (runs: string) => ["pretrain", "sft", "export"].map((stage) => weights(runs, stage));

row(
  "P1",
  `a real training, killed at random moments (seed ${seed})`,
  async (count) => {
    await inTemporaryDirectory(async (whole) => {
      expect((await run([process.execPath, ...command(whole)])).code).toBe(0);
      await inTemporaryDirectory(async (killed) => {
        const stream = random();
        let signal: NodeJS.Signals | null = "SIGKILL";
        for (let kills = 0; signal === "SIGKILL"; kills++) {
          const child = spawn(process.execPath, [...command(killed), "--json"], {
            stdio: ["ignore", "pipe", "ignore"],
          });
          const timers: NodeJS.Timeout[] = [];
          child.stdout.once("data", () => {
            if (kills < 6) {
              const afterMs = 1000 + 8000 * stream.uniform();
              timers.push(setTimeout(() => child.kill("SIGKILL"), afterMs));
            }
          });
          child.stdout.resume();
          const ended = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
            child.once("close", (...result) => resolve(result)),
          );
          timers.forEach(clearTimeout);
          signal = ended[1];
          if (signal === null) expect(ended[0]).toBe(0);
          count(1);
        }
        expect(all(killed)).toEqual(all(whole));
        await expectSound(killed, "quickstart");
      });
    });
  },
  { timeoutMs: 900_000 },
);

row(
  "P18",
  "a reader of the output that goes away",
  async (count) => {
    await inTemporaryDirectory(async (runs) => {
      const words = [process.execPath, ...command(runs), "--set", "pretrain.max_steps=5", "--json"];
      const { stderr } = await run(["bash", "-c", '"$@" | head -c 10', "bash", ...words]);
      expect(stderr).not.toMatch(/EPIPE|at .*\.js/);
      // The run went on without its reader, to its end.
      const status = await run([
        process.execPath,
        "bin/dllm.js",
        "status",
        "quickstart",
        "--runs",
        runs,
        "--json",
      ]);
      expect(JSON.parse(status.stdout)).toMatchObject({ state: "finished" });
      await expectSound(runs, "quickstart");
    });
    count(1);
  },
  { timeoutMs: 600_000 },
);
