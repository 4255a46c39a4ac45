/**
 * @file Loss of power (RELIABILITY S6) at any instant of a whole stage: what is left is gone on with
 * to the same artifact, and what was promised is there.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { readCheckpoints } from "../../src/base/checkpoint-directory.js";
import { sha256, writeFile, writeJson } from "../../src/base/fs.js";
import type { StageImplementation, StageJob } from "../../src/plan/stage.js";
import { openStore } from "../../src/run/store.js";
import { runStage } from "../../src/stages/run-stage.js";
import { everyPowerLoss } from "../support/power-loss.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";
import { row } from "./matrix.js";
import { seed } from "./toy.js";

const fingerprint = sha256("a stage");
const directoryOf = (root: string) => openStore(root).directory(fingerprint);

/** Three steps, a checkpoint after each; a hash chain, so that no step can be lost unseen. */
const run: StageImplementation = async ({ checkpoints, outputDirectory, metric }) => {
  const latest = await checkpoints.latest();
  let state = latest ? readFileSync(join(latest.directory, "state"), "utf8") : "start";
  for (let step = (latest?.step ?? 0) + 1; step <= 3; step++) {
    state = sha256(state + String(step));
    metric({ step, loss: 1 / step });
    await checkpoints.save(step, (inside) => writeFile(join(inside, "state"), state));
  }
  await writeFile(join(outputDirectory, "state"), state);
  return { steps: 3 };
};

async function runIn(root: string, onCheckpoint: (step: number) => void): Promise<void> {
  const implementation = () => Promise.resolve({ run });
  const registry = {
    prepare: implementation,
    pretrain: implementation,
    sft: implementation,
    eval: implementation,
    export: implementation,
  };
  const job = { schema: 1, id: "sft", kind: "sft", fingerprint, attempt: 1 } as const;
  await runStage({
    job: { ...job, params: {}, hardware: {}, locations: {}, inputs: {} } as unknown as StageJob,
    workingDirectory: directoryOf(root),
    registry,
    stop: { requested: false },
    report: (message) => {
      if (message.type === "checkpoint-published") onCheckpoint(message.step);
    },
    now: () => 0,
  });
}

row(
  "S6",
  `loss of power at any instant of a stage (seed ${seed})`,
  async (count) => {
    const expected = await inMemoryDirectory(async (root) => {
      await writeJson(join(root, "x"), {});
      const { mkdirSync } = await import("node:fs");
      mkdirSync(directoryOf(root), { recursive: true });
      await runIn(root, () => undefined);
      return readFileSync(join(directoryOf(root), "output", "state"), "utf8");
    });
    const states = await everyPowerLoss(
      {
        async before(root) {
          const { mkdirSync } = await import("node:fs");
          mkdirSync(directoryOf(root), { recursive: true });
        },
        async action(root, promise) {
          await runIn(root, (step) => promise(`checkpoint ${step}`));
          promise("finished");
        },
        async check(root, promised) {
          const directory = directoryOf(root);
          const { valid } = readCheckpoints(join(directory, "checkpoints"), 1);
          const saved = [...promised].filter((each) => each.startsWith("checkpoint")).length;
          expect(valid[0]?.step ?? 0).toBeGreaterThanOrEqual(saved);
          if (promised.has("finished")) {
            expect(openStore(root).finished(fingerprint)).toBeDefined();
          }
          await runIn(root, () => undefined);
          expect(readFileSync(join(directory, "output", "state"), "utf8")).toBe(expected);
          expect(openStore(root).finished(fingerprint)).toBeDefined();
        },
      },
      { limit: 400 },
    );
    expect(states).toBeGreaterThan(500);
    count(states);
  },
  { timeoutMs: 600_000 },
);
