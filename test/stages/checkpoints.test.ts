/** @file Which checkpoints a stage keeps. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openCheckpoints } from "../../src/stages/checkpoints.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

test.each([
  [undefined, [5, 6]],
  [1, [5, 6]],
  [4, [3, 4, 5, 6]],
])("keep %s: the newest, never fewer than two", (keep, expected) =>
  inTemporaryDirectory(async (directory) => {
    const checkpoints = openCheckpoints(directory, {
      elapsedSeconds: () => 0,
      report: () => undefined,
    });
    for (const step of [1, 2, 3, 4, 5, 6]) {
      await checkpoints.save(
        step,
        (target) => {
          writeFileSync(join(target, "state"), String(step));
          return Promise.resolve();
        },
        keep === undefined ? undefined : { keep },
      );
    }
    expect(readdirSync(directory).sort()).toEqual(expected.map((step) => `step-00000${step}`));
    expect(await checkpoints.latest()).toMatchObject({ step: 6 });
  }),
);
