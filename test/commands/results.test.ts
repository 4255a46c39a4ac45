import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run as report } from "../../src/commands/report.js";
import { run as results } from "../../src/commands/results.js";
import type { CommandIo } from "../../src/commands/command.js";
import { writeFakeRun } from "../support/fake-run.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

function captureIo() {
  const lines: string[] = [];
  const errors: string[] = [];
  const io: CommandIo = {
    out: (line) => lines.push(line),
    err: (line) => errors.push(line),
    write: (text) => lines.push(text),
    input: process.stdin,
    isTty: false,
    columns: 80,
  };
  return { io, lines, errors };
}

describe("dllm results", () => {
  test("lists the figures of every evaluation side by side", () =>
    inTemporaryDirectory(async (root) => {
      const { runs } = writeFakeRun(root);
      const { io, lines, errors } = captureIo();
      expect(await results(["quickstart"], { runs, json: false }, io)).toBe(0);
      expect(errors).toEqual([]);
      expect(lines.slice(0, 5)).toEqual([
        "task                metric       after pretrain        after sft    n",
        "heldout_likelihood  nll            4.62 ± 0.021    0.131 ± 0.021  240",
        "heldout_likelihood  ppl           101.5 ± 2.131   1.14 ± 0.02394  240",
        "exact_match         exact_match   0.0 % ± 0.0 %   92.9 % ± 1.7 %  240",
        "  addition          exact_match   0.0 % ± 0.0 %   82.5 % ± 6.1 %   40",
      ]);
    }));

  test("--json gives one object per figure", () =>
    inTemporaryDirectory(async (root) => {
      const { directory } = writeFakeRun(root);
      const { io, lines } = captureIo();
      // By path: the directory of runs does not matter.
      await results([directory], { runs: "/nonexistent", json: true }, io);
      const rows = JSON.parse(lines.join("\n")) as Record<string, unknown>[];
      expect(rows).toHaveLength(18);
      expect(rows[0]).toEqual({
        stage: "eval-pretrain",
        task: "heldout_likelihood",
        metric: "nll",
        value: 4.62,
        stderr: 0.021,
        n: 240,
        protocol: expect.stringContaining("mc_num 32") as unknown,
      });
      expect(new Set(rows.map(({ stage }) => stage))).toEqual(new Set(["eval-pretrain", "eval"]));
    }));

  test("a run without evaluations says so; damage is a warning", () =>
    inTemporaryDirectory(async (root) => {
      const run = writeFakeRun(root);
      for (const id of ["eval", "eval-pretrain"]) {
        writeFileSync(join(run.stage(id), "output", "results.json"), "{}");
      }
      const { io, lines, errors } = captureIo();
      expect(await results(["quickstart"], { runs: run.runs, json: false }, io)).toBe(0);
      expect(lines).toEqual([]);
      expect(errors).toHaveLength(3);
      expect(errors.at(-1)).toBe("no evaluation of run quickstart has finished yet");
    }));

  test("an absent run is 66 and lists those there are", () =>
    inTemporaryDirectory(async (root) => {
      const { runs } = writeFakeRun(root);
      writeFakeRun(root, "second");
      const { io } = captureIo();
      await expect(results(["quickstar"], { runs, json: false }, io)).rejects.toMatchObject({
        exitCode: 66,
        message: `no run "quickstar" in ${runs}`,
        details: ["runs there: quickstart, second", "start one with: dllm run <recipe.yaml>"],
      });
      await expect(
        results(["x"], { runs: join(root, "none"), json: false }, io),
      ).rejects.toMatchObject({
        exitCode: 66,
        details: ["there are no runs yet", "start one with: dllm run <recipe.yaml>"],
      });
    }));
});

describe("dllm report", () => {
  test("writes the report of a run, or of all runs, and prints the paths", () =>
    inTemporaryDirectory(async (root) => {
      const { runs } = writeFakeRun(root);
      const one = captureIo();
      expect(await report(["quickstart"], { runs }, one.io)).toBe(0);
      expect(one.lines).toEqual([join(runs, "quickstart", "report.html")]);
      writeFakeRun(root, "second");
      const all = captureIo();
      await report([runs], { runs: "/nonexistent" }, all.io);
      expect(all.lines).toEqual([
        join(runs, "quickstart", "report.html"),
        join(runs, "second", "report.html"),
      ]);
    }));

  test("an absent run is 66", () =>
    inTemporaryDirectory(async (root) => {
      const { runs } = writeFakeRun(root);
      await expect(report(["x"], { runs }, captureIo().io)).rejects.toMatchObject({ exitCode: 66 });
    }));
});
