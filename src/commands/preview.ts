/**
 * @file `dllm preview <recipe>` shows what training sees of a sample of the data: which tokens
 * are trained, what is masked, what is dropped. Runs nothing, and writes only the page asked for.
 */
import { resolve } from "node:path";
import pc from "picocolors";
import { ExitCode } from "../base/errors.js";
import { writeUserFile } from "../base/fs.js";
import { sanitize } from "../base/sanitize.js";
import { openHub, type Hub } from "../hub/hub.js";
import { readHubSettings } from "../hub/settings.js";
import { previewPage } from "../report/preview-page.js";
import { previewText } from "../report/preview-text.js";
import { previewRecipe } from "../stages/preview.js";
import type { PreviewCommand } from "./command.js";
import { lockedCommits } from "./locked.js";
import { loadWithOptions } from "./recipe-plan.js";

export const run: PreviewCommand = async ([recipe, overrides], options, io) => {
  const loaded = await loadWithOptions(recipe, overrides, options);
  const log = (line: string): void => io.err(sanitize(line));
  let hub: Hub | undefined;
  const preview = await previewRecipe(
    {
      loaded,
      hub: () => (hub ??= openHub(readHubSettings(process.env), { log })),
      known: lockedCommits(loaded),
      sampleRows: options.sample,
    },
    {
      stages: options.stage,
      rows: options.rows,
      seed: options.seed ?? loaded.recipe.seed,
      log: () => undefined,
    },
  );
  if (options.html !== undefined) {
    await writeUserFile(resolve(options.html), previewPage(preview));
    io.err(`wrote ${options.html}`);
  }
  if (options.json) {
    io.out(JSON.stringify(preview, null, 2));
  } else if (options.html === undefined) {
    const colors = pc.createColors(io.isTty && process.env["NO_COLOR"] === undefined);
    for (const line of previewText(preview, { colors, width: io.columns })) io.out(line);
  }
  return ExitCode.ok;
};
