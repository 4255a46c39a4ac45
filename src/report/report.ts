/**
 * @file The report of a run: one HTML file that needs nothing but itself, with two scripts, which
 * draw its curves.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { writeFileAtomic } from "../base/fs.js";
import { chartsOf, renderCharts, type Chart } from "./charts.js";
import { compareEvaluations } from "./comparison.js";
import { describeEnvironment } from "./environment.js";
import { formatDuration } from "./format.js";
import { embedJson, html, type Html } from "./html.js";
import { renderPage } from "./page.js";
import { loadRun, type ReportStage, type RunData } from "./run-data.js";
import { renderEvaluations, renderSamples } from "./evaluation-sections.js";
import { renderProvenance, renderRecipe, renderStages, renderSummary } from "./sections.js";
import { reportStyle } from "./style.js";

const require = createRequire(import.meta.url);

function renderStatus({ stages }: RunData): Html {
  const failed = stages.filter(({ state }) => state === "failed").length;
  const finished = stages.filter(({ state }) => state === "finished").length;
  if (failed > 0)
    return html`<span class="status bad">${failed} of ${stages.length} stages failed</span>`;
  if (finished < stages.length)
    return html`<span class="status idle">${finished} of ${stages.length} stages finished</span>`;
  return html`<span class="status good">Finished</span>`;
}

/** Begin, end and computing time of a run in a line. */
function describeTimes({ stages }: RunData): string {
  const times = stages.flatMap(({ finishedAt }) => finishedAt ?? []).sort();
  const seconds = stages.reduce((sum, stage) => sum + (stage.seconds ?? 0), 0);
  const last = times.at(-1);
  if (last === undefined) return "";
  const when = last.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*$/, "$1 $2 UTC");
  return ` · finished ${when} · ${formatDuration(seconds)} of computing`;
}

function renderTrainings(trained: readonly { stage: ReportStage; charts: Chart[] }[]): Html {
  if (trained.length === 0) return html``;
  return html`<section id="training">
    <h2>Training</h2>
    <noscript><p>The curves need JavaScript; their first and last values are below.</p></noscript>
    ${trained.map(({ stage, charts }, i) => renderCharts(stage, charts, i))}
  </section>`;
}

/** Returns the report of a run as the text of an HTML file. */
export function renderReport(run: RunData, environment: readonly [string, string][]): string {
  const comparison = compareEvaluations(run);
  const trained = run.stages
    .map((stage) => ({ stage, charts: chartsOf(stage.metrics) }))
    .filter(({ charts }) => charts.length > 0);
  const sections: [string, string, Html][] = [
    ["summary", "Summary", renderSummary(run, comparison)],
    ["evaluation", "Evaluation", renderEvaluations(comparison)],
    ["training", "Training", renderTrainings(trained)],
    ["samples", "Answers", renderSamples(run, comparison)],
    ["stages", "Stages", renderStages(run)],
    ["recipe", "Recipe", renderRecipe(run)],
    ["provenance", "Provenance", renderProvenance(run, environment)],
  ];
  const present = sections.filter(([, , section]) => section.markup !== "");

  const read = (path: string | URL): string => readFileSync(path, "utf8");
  return renderPage({
    product: "report",
    title: run.name,
    summary: html`${renderStatus(run)}${run.recipeFile}${describeTimes(run)}`,
    style: read(require.resolve("uplot/dist/uPlot.min.css")) + reportStyle,
    navigationLabel: "Sections",
    navigation: present.map(([id, title]) => [id, title] as const),
    main: html`${present.map(([, , section]) => section)}
      <footer>Written by dllm from the files of the run. This file needs no network.</footer>`,
    data: html`<script type="application/json" id="report-data">
      ${embedJson({ trainings: trained.map(({ charts }) => charts) })}
    </script>`,
    scripts: [
      { element: "script", code: read(require.resolve("uplot/dist/uPlot.iife.min.js")) },
      // A module: compiled, it ends in an export.
      { element: 'script type="module"', code: read(new URL("./client.js", import.meta.url)) },
    ],
  });
}

/**
 * Writes `report.html` into the directory of a run, replacing an older one.
 * @returns the path of the report
 * @throws DllmError 66 when there is no plan, 65 when it is none, 73/74/77 when it cannot write
 */
export async function writeReport({ runDirectory }: { runDirectory: string }): Promise<string> {
  const path = join(runDirectory, "report.html");
  await writeFileAtomic(path, renderReport(loadRun(runDirectory), describeEnvironment()));
  return path;
}
