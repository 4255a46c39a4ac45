/** @file A stage process by itself: started by hand, without an executor. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { verifyDirectory } from "../../src/base/fs.js";
import { asStageResult, type StageError } from "../../src/plan/stage-files.js";
import { metricLine } from "../../src/stages/metrics-file.js";
import { bundle } from "../support/bundle.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

let script: string;
beforeAll(async () => {
  script = await bundle("test/run/fixtures/toy-stage.ts");
});

function start(directory: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [script, directory], { encoding: "utf8" });
}

const job = {
  schema: 1,
  id: "sft",
  kind: "sft",
  fingerprint: "f".repeat(64),
  attempt: 1,
  params: { steps: 5, saveEvery: 2 },
  hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 1 },
  locations: {},
  inputs: {},
};

test("publishes output, metrics and result; a second start finds them and does nothing", async () => {
  await inTemporaryDirectory(async (directory) => {
    writeFileSync(join(directory, "spec.json"), JSON.stringify(job));
    expect(start(directory)).toMatchObject({ status: 0, stderr: "" });
    await verifyDirectory(join(directory, "output"));
    const text = readFileSync(join(directory, "result.json"), "utf8");
    const result = asStageResult(JSON.parse(text), job.fingerprint);
    expect(result).toMatchObject({ attempt: 1, metrics: { steps: 5, nan: "NaN" } });
    expect(result!.peakRssBytes).toBeGreaterThan(10 * 2 ** 20);
    expect(asStageResult(JSON.parse(text), "another")).toBeUndefined();
    expect(readFileSync(join(directory, "metrics.jsonl"), "utf8")).toMatch(
      /^\{"step":1,"loss":1\}\n/,
    );
    expect(start(directory)).toMatchObject({ status: 0, stdout: "" });
    expect(readFileSync(join(directory, "result.json"), "utf8")).toBe(text);
  });
});

test("leaves the error and its exit code for whoever started it", async () => {
  await inTemporaryDirectory(async (directory) => {
    mkdirSync(join(directory, "stage"));
    expect(start(join(directory, "stage"))).toMatchObject({ status: 66 });
    writeFileSync(join(directory, "stage", "spec.json"), '{"schema":9}');
    const unknown = start(join(directory, "stage"));
    expect(unknown.status).toBe(65);
    expect(unknown.stderr).toMatch(/spec\.json: not a stage's specification of schema 1\n$/);

    const failing = { ...job, params: { ...job.params, misbehave: "bad-data", at: 3 } };
    writeFileSync(join(directory, "stage", "spec.json"), JSON.stringify(failing));
    expect(start(join(directory, "stage")).status).toBe(65);
    const error = JSON.parse(
      readFileSync(join(directory, "stage", "error.json"), "utf8"),
    ) as StageError;
    expect(error).toEqual({
      schema: 1,
      attempt: 1,
      exitCode: 65,
      message: "rows.jsonl:3: \u001b[31mno messages",
      details: ["expected a list"],
    });
    expect(existsSync(join(directory, "stage", "output"))).toBe(false);
  });
});

test("numbers that JSON lacks are text in metrics, and the step comes first", () => {
  const record = { loss: NaN, step: 3, up: Infinity, down: -Infinity, list: [NaN, 1] };
  expect(metricLine(record as never)).toBe(
    '{"step":3,"loss":"NaN","up":"Infinity","down":"-Infinity","list":["NaN",1]}',
  );
});
