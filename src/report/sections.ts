/**
 * @file The sections of a report, each a function from the run's data to markup; for those about
 * evaluations see evaluation-sections.ts.
 */
import { stringify } from "yaml";
import type { Comparison } from "./comparison.js";
import { drawDag } from "./dag.js";
import { formatBytes, formatDuration, formatMetric, formatNumber } from "./format.js";
import { html, type Html } from "./html.js";
import { seriesOf } from "./metrics.js";
import type { ReportStage, RunData } from "./run-data.js";

const isTraining = ({ kind }: ReportStage) => kind === "pretrain" || kind === "sft";

/** The last finite value of a figure of a stage's metrics. */
function lastValue(stage: ReportStage, name: string): number | undefined {
  return seriesOf(stage.metrics, name).values.findLast(Number.isFinite);
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function card(name: string, value: string, note: string): Html {
  return html`<div class="card">
    <div class="name">${name}</div>
    <div class="value">${value}</div>
    <div class="note">${note}</div>
  </div>`;
}

/** Cards of the whole tasks' figures, and of what the trainings ended with and cost. */
function renderCards({ stages }: RunData, { models, rows }: Comparison): Html {
  const evaluated = rows
    .filter(({ skill, metric }) => skill === undefined && metric !== "nll")
    .map(({ task, metric, results }) => {
      const last = results.findLastIndex((result) => result !== undefined);
      const result = results[last]!;
      const first = results.findIndex((one) => one !== undefined);
      const before =
        first < last
          ? `${formatMetric(metric, results[first]!.value)} after ${models[first]!}`
          : `after ${models[last]!}`;
      return card(
        task === metric ? task : `${task}, ${metric}`,
        formatMetric(metric, result.value),
        before,
      );
    });
  const trained = stages.filter(isTraining).flatMap((stage) => {
    const loss = lastValue(stage, "loss");
    if (loss === undefined) return [];
    const heldOut = lastValue(stage, "eval_nll");
    const note = heldOut === undefined ? "" : `held-out nll ${formatNumber(heldOut)}`;
    return [card(`${stage.id}, last loss`, formatNumber(loss), note)];
  });
  const seconds = stages.reduce((sum, stage) => sum + (stage.seconds ?? 0), 0);
  const peak = Math.max(0, ...stages.map(({ peakRssBytes }) => peakRssBytes ?? 0));
  const speed = median(
    stages
      .filter(isTraining)
      .flatMap(({ metrics }) => seriesOf(metrics, "tokens_per_second").values),
  );
  return html`<div class="cards">
    ${evaluated}${trained}
    ${seconds > 0 ? card("Computing time", formatDuration(seconds), `in ${stages.length} stages`) : ""}
    ${speed === undefined ? "" : card("Training speed", formatNumber(Math.round(speed)), "tokens per second, median")}
    ${peak > 0 ? card("Peak memory", formatBytes(peak), "of one stage process") : ""}
  </div>`;
}

/** One bar of all computing time, a part per stage. */
function renderTime({ stages }: RunData): Html {
  const timed = stages.filter(({ seconds }) => (seconds ?? 0) > 0);
  const total = timed.reduce((sum, { seconds }) => sum + seconds!, 0);
  if (total === 0) return html``;
  const width = 1000;
  let x = 0;
  const tone = (i: number) => `c${(i + 1) % 5}`;
  const parts = timed.map(({ id, seconds }, i) => {
    const part = (width * seconds!) / total;
    x += part;
    return html`<rect
      class="${tone(i)}"
      x="${(x - part).toFixed(2)}"
      y="0"
      width="${part.toFixed(2)}"
      height="18"
      ><title>${id}: ${formatDuration(seconds!)}</title></rect
    >`;
  });
  const legend = timed.map(
    ({ id, seconds }, i) =>
      html`<span
        ><svg viewBox="0 0 10 10" aria-hidden="true">
          <rect class="${tone(i)}" width="10" height="10" rx="3"></rect></svg
        >${id} ${formatDuration(seconds!)}</span
      >`,
  );
  return html`<div class="panel">
    <h3>Where the time went</h3>
    <svg
      class="time"
      viewBox="0 0 ${width} 18"
      width="${width}"
      height="18"
      preserveAspectRatio="none"
      role="img"
      aria-label="Computing time by stage"
    >
      ${parts}
    </svg>
    <div class="legend">${legend}</div>
  </div>`;
}

/** Returns the summary: remarks, cards, computing time. */
export function renderSummary(run: RunData, comparison: Comparison): Html {
  const failed = run.stages.flatMap(({ id, error }) =>
    error === undefined ? [] : [`stage ${id}: ${error}`],
  );
  const remarks = [...failed, ...run.remarks];
  return html`<section id="summary">
    <h2>Summary</h2>
    ${
      remarks.length > 0
        ? html`<div class="panel remarks">
            <strong>To look at</strong>
            <ul>
              ${remarks.map((line) => html`<li>${line}</li>`)}
            </ul>
          </div>`
        : ""
    }
    ${renderCards(run, comparison)} ${renderTime(run)}
  </section>`;
}

const actionWords: Readonly<Record<string, string>> = {
  reuse: "reused",
  resume: "resumed",
  run: "run",
};

/** Returns the DAG and, as a table, why each stage was run or reused. */
export function renderStages({ stages }: RunData): Html {
  const nodes = stages.map(({ id, kind, inputs, state, seconds, action, reason, error }) => ({
    id,
    needs: Object.values(inputs),
    lines: [
      kind === id ? (actionWords[action] ?? action) : `${kind}, ${actionWords[action] ?? action}`,
      state === "finished" ? (seconds === undefined ? "finished" : formatDuration(seconds)) : state,
    ],
    tone: ({ finished: "good", failed: "bad", unfinished: "idle" } as const)[state],
    title: error ?? reason,
  }));
  return html`<section id="stages">
    <h2>Stages</h2>
    ${nodes.length > 0 ? html`<div class="panel scroll">${drawDag(nodes)}</div>` : ""}
    <div class="panel scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Stage</th>
            <th scope="col">State</th>
            <th scope="col">Action</th>
            <th scope="col">Reason</th>
            <th scope="col" class="figure">Time</th>
            <th scope="col" class="figure">Peak memory</th>
          </tr>
        </thead>
        <tbody>
          ${stages.map(
            ({ id, state, action, reason, seconds, peakRssBytes }) =>
              html`<tr>
                <th scope="row">${id}</th>
                <td class="${state === "failed" ? "bad" : state === "finished" ? "good" : "muted"}">
                  ${state}
                </td>
                <td>${action}</td>
                <td class="muted">${reason}</td>
                <td class="figure">${seconds === undefined ? "–" : formatDuration(seconds)}</td>
                <td class="figure">
                  ${peakRssBytes === undefined ? "–" : formatBytes(peakRssBytes)}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** One line of YAML: key and plain value in their colours; everything escaped. */
function highlight(line: string): Html {
  const parts = /^(\s*(?:- )*)([\w.-]+)(:)(.*)$/.exec(line);
  if (parts === null) return html`${line}`;
  const [, indent, key, colon, value] = parts;
  const isLiteral = /^ (-?[\d.][\d.e+-]*|true|false|null)$/.test(value!);
  return html`${indent}<span class="key">${key}</span
    >${colon}${isLiteral ? html`<span class="literal">${value}</span>` : html`${value}`}`;
}

// recipe.resolved.json has its keys in alphabetical order; this is how a recipe is written.
const recipeOrder = [
  ...["name", "description", "seed", "edition", "dataset_separators"],
  ...["model", "tokenizer", "mask", "hardware"],
];
const stageOrder = ["pretrain", "sft", "eval", "export"];

/** The same recipe with its sections in the order of a recipe file; unknown ones last. */
function inRecipeOrder(recipe: unknown): unknown {
  if (typeof recipe !== "object" || recipe === null || Array.isArray(recipe)) return recipe;
  const order = [...recipeOrder, ...stageOrder];
  const rank = (key: string) => (order.includes(key) ? order.indexOf(key) : order.length);
  return Object.fromEntries(Object.entries(recipe).sort(([a], [b]) => rank(a) - rank(b)));
}

/** Returns the resolved recipe as YAML. */
export function renderRecipe({ recipe, recipeFile }: RunData): Html {
  if (recipe === undefined) return html``;
  const lines = stringify(inRecipeOrder(recipe), { lineWidth: 0 }).trimEnd().split("\n");
  const code = lines.map((line, i) => html`${i > 0 ? "\n" : ""}${highlight(line)}`);
  return html`<section id="recipe">
    <h2>Recipe</h2>
    <div class="panel">
      <div class="bar">
        <span class="muted">${recipeFile}, with all defaults filled in</span
        ><button type="button" data-copy="recipe-text">Copy</button>
      </div>
      <pre id="recipe-text" tabindex="0">${code}</pre>
    </div>
  </section>`;
}

/** Returns the fingerprints and the environment. */
export function renderProvenance(
  { stages }: RunData,
  environment: readonly [string, string][],
): Html {
  return html`<section id="provenance">
      <h2>Fingerprints</h2>
      <div class="panel scroll">
        <p class="muted">
          A stage's fingerprint names everything that decides its output; the artifact hash names
          the output's bytes.
        </p>
        <table>
          <thead>
            <tr>
              <th scope="col">Stage</th>
              <th scope="col">Fingerprint</th>
              <th scope="col">Artifact (sha256)</th>
            </tr>
          </thead>
          <tbody>
            ${stages.map(
              ({ id, fingerprint, artifact }) =>
                html`<tr>
                  <th scope="row">${id}</th>
                  <td class="mono hash">${fingerprint}</td>
                  <td class="mono hash">${artifact ?? "–"}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </section>
    <section id="environment">
      <h2>Environment</h2>
      <div class="panel scroll">
        <p class="muted">Where this report was written.</p>
        <table>
          <tbody>
            ${environment.map(
              ([name, value]) =>
                html`<tr>
                  <th scope="row">${name}</th>
                  <td>${value}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </section>`;
}
