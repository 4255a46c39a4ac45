/**
 * @file The report of a run: one HTML file that needs nothing but itself. Its policy lets no
 * script run but the two it names by hash, and loads nothing from anywhere.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { writeFileAtomic } from "../base/fs.js";
import { chartsOf, renderCharts, type Chart } from "./charts.js";
import { compareEvaluations } from "./comparison.js";
import { describeEnvironment } from "./environment.js";
import { formatDuration } from "./format.js";
import { embedJson, html, trusted, type Html } from "./html.js";
import { loadRun, type ReportStage, type RunData } from "./run-data.js";
import { renderEvaluations, renderSamples } from "./evaluation-sections.js";
import { renderProvenance, renderRecipe, renderStages, renderSummary } from "./sections.js";
import { reportStyle } from "./style.js";

const require = createRequire(import.meta.url);

/** An element with a script or style sheet, and the source that the policy allows it by. */
function inline(
  element: "script" | 'script type="module"' | "style",
  code: string,
): { element: Html; source: string } {
  // Compiled scripts name a source map beside them, which a report does not have.
  const text = code.replace(/^\/\/# sourceMappingURL=.*$/gm, "");
  const hash = createHash("sha256").update(text).digest("base64");
  const end = element.split(" ")[0]!;
  return { element: trusted(`<${element}>${text}</${end}>`), source: `'sha256-${hash}'` };
}

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

  const plotScript = inline(
    "script",
    readFileSync(require.resolve("uplot/dist/uPlot.iife.min.js"), "utf8"),
  );
  // A module: compiled, it ends in an export.
  const ownScript = inline(
    'script type="module"',
    readFileSync(new URL("./client.js", import.meta.url), "utf8"),
  );
  const plotStyle = readFileSync(require.resolve("uplot/dist/uPlot.min.css"), "utf8");
  const style = inline("style", plotStyle + reportStyle);
  const policy = `default-src 'none'; script-src ${plotScript.source} ${ownScript.source}; style-src ${style.source}; base-uri 'none'; form-action 'none'`;

  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${trusted(policy)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="referrer" content="no-referrer" />
        <title>${run.name} · dllm report</title>
        ${style.element}
      </head>
      <body>
        <header>
          <div>
            <div class="product">dllm report</div>
            <h1>${run.name}</h1>
            <p>${renderStatus(run)}${run.recipeFile}${describeTimes(run)}</p>
          </div>
        </header>
        <nav aria-label="Sections">
          <div>${present.map(([id, title]) => html`<a href="#${id}">${title}</a>`)}</div>
        </nav>
        <main>
          ${present.map(([, , section]) => html`${section}`)}
          <footer>Written by dllm from the files of the run. This file needs no network.</footer>
        </main>
        <script type="application/json" id="report-data">
          ${embedJson({ trainings: trained.map(({ charts }) => charts) })}
        </script>
        ${plotScript.element}${ownScript.element}
      </body>
    </html> `.markup;
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
