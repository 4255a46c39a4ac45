/** @file The sections of a report, each a function from the run's data to markup. */
import { stringify } from "yaml";
import type { Comparison, ComparedRow } from "./comparison.js";
import { evaluatedModel } from "./comparison.js";
import { drawDag } from "./dag.js";
import {
  formatBytes,
  formatDuration,
  formatMetric,
  formatNumber,
  isLowerBetter,
  isShare,
} from "./format.js";
import { html, type Html } from "./html.js";
import { seriesOf } from "./metrics.js";
import type { ReportStage, RunData, Sample } from "./run-data.js";

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

/** The column with the best value; undefined unless at least two differ. */
function bestColumn({ metric, results }: ComparedRow): number | undefined {
  const values = results.map((result) => result?.value);
  const known = values.filter((value): value is number => value !== undefined);
  if (new Set(known).size < 2) return undefined;
  return values.indexOf(isLowerBetter(metric) ? Math.min(...known) : Math.max(...known));
}

function renderResultRow(row: ComparedRow): Html {
  const best = bestColumn(row);
  const { task, skill, metric, results } = row;
  const counts = [
    ...new Set(results.flatMap((result) => (result?.n === undefined ? [] : [result.n]))),
  ];
  return html`<tr>
    ${skill === undefined ? html`<th scope="row">${task}</th>` : html`<th scope="row" class="skill">${skill}</th>`}
    <td>${metric} <span class="muted">${isLowerBetter(metric) ? "↓" : "↑"}</span></td>
    ${results.map((result, i) =>
      result === undefined
        ? html`<td class="figure muted">–</td>`
        : html`<td class="figure">
            <span class="${i === best ? "best" : ""}">${formatMetric(metric, result.value)}</span>${
              result.stderr === undefined
                ? ""
                : html` <span class="stderr">± ${formatMetric(metric, result.stderr)}</span>`
            }
          </td>`,
    )}
    <td class="figure muted">${counts.map(formatNumber).join(" / ")}</td>
  </tr>`;
}

/** How each task was measured; a task measured in two ways is pointed out. */
function renderProtocols({ models, rows }: Comparison): Html {
  const entries = [...new Set(rows.map(({ task }) => task))].flatMap((task) => {
    const own = rows.filter((row) => row.task === task);
    const protocols = new Map<string, Set<string>>();
    for (const { results } of own) {
      results.forEach((result, i) => {
        if (result?.protocol === undefined) return;
        protocols.set(
          result.protocol,
          (protocols.get(result.protocol) ?? new Set()).add(models[i]!),
        );
      });
    }
    const differs =
      models.length > 1 && [...protocols.values()].some(({ size }) => size < models.length);
    return [...protocols].map(
      ([protocol, used]) =>
        html`<tr>
          <th scope="row">${task}</th>
          <td class="mono">${protocol}</td>
          <td class="${differs ? "bad" : "muted"}">
            ${differs ? `only ${[...used].join(", ")}` : ""}
          </td>
        </tr>`,
    );
  });
  if (entries.length === 0) return html``;
  return html`<details>
    <summary>How it was measured</summary>
    <div class="scroll">
      <table>
        <tbody>
          ${entries}
        </tbody>
      </table>
    </div>
  </details>`;
}

/** Bars of each part of a task, a bar per evaluated model. */
function renderBars(task: string, models: readonly string[], rows: readonly ComparedRow[]): Html {
  const label = 150;
  const full = 850;
  const bar = 13;
  const height = models.length * (bar + 3) + 14;
  const most = Math.max(
    ...rows.flatMap(({ metric, results }) =>
      isShare(metric) ? [1] : results.map((r) => r?.value ?? 0),
    ),
  );
  const shade = (column: number) => (column === models.length - 1 ? "after" : "before");
  const lines = rows.map(({ skill, metric, results }, i) => {
    const top = i * height;
    const name = skill!.length > 20 ? `${skill!.slice(0, 19)}…` : skill!;
    const parts = results.map((result, column) => {
      const y = top + column * (bar + 3);
      const share = most > 0 ? Math.max(0, result?.value ?? 0) / most : 0;
      const value = result === undefined ? "–" : formatMetric(metric, result.value);
      return html`<rect
          class="track"
          x="${label}"
          y="${y}"
          width="${full}"
          height="${bar}"
          rx="3"
        ></rect
        ><rect
          class="${shade(column)}"
          x="${label}"
          y="${y}"
          width="${(full * share).toFixed(1)}"
          height="${bar}"
          rx="3"
          ><title>${models[column]!}, ${skill!}: ${value}</title></rect
        ><text class="value" x="${label + full + 8}" y="${y + bar - 2}">${value}</text>`;
    });
    return html`<text x="${label - 12}" y="${top + (height - 14) / 2 + 3}" text-anchor="end"
        >${name}</text
      >${parts}`;
  });
  const legend = models.map(
    (model, column) =>
      html`<span
        ><svg class="bars" viewBox="0 0 10 10" aria-hidden="true">
          <rect class="${shade(column)}" width="10" height="10" rx="3"></rect></svg
        >after ${model}</span
      >`,
  );
  return html`<div class="panel">
    <h3>${task} by skill</h3>
    <svg
      class="bars"
      viewBox="0 0 ${label + full + 70} ${rows.length * height - 10}"
      width="${label + full + 70}"
      height="${rows.length * height - 10}"
      role="img"
      aria-label="${task} by skill; the numbers are in the table"
    >
      ${lines}
    </svg>
    <div class="legend">${legend}</div>
  </div>`;
}

/** Returns the table of all evaluations and the comparison by skill. */
export function renderEvaluations({ models, rows }: Comparison): Html {
  if (rows.length === 0) return html``;
  const groups = [
    ...new Set(rows.filter(({ skill }) => skill !== undefined).map(({ task }) => task)),
  ];
  return html`<section id="evaluation">
    <h2>Evaluation</h2>
    <div class="panel scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">Metric</th>
            ${models.map((model) => html`<th scope="col" class="figure">after ${model}</th>`)}
            <th scope="col" class="figure">n</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(renderResultRow)}
        </tbody>
      </table>
      ${renderProtocols({ models, rows })}
    </div>
    ${groups.map((task) =>
      renderBars(
        task,
        models,
        rows.filter((row) => row.task === task && row.skill !== undefined),
      ),
    )}
  </section>`;
}

const MOST_SAMPLES = 100;
const MOST_CHARACTERS = 2000;

/** At most `limit` samples, the same share of every skill, in their order. */
export function chooseSamples(samples: readonly Sample[], limit: number): Sample[] {
  const bySkill = new Map<string, Sample[]>();
  for (const sample of samples) {
    const own = bySkill.get(sample.skill) ?? [];
    own.push(sample);
    bySkill.set(sample.skill, own);
  }
  const chosen = new Set<Sample>();
  for (let round = 0; chosen.size < Math.min(limit, samples.length); round++) {
    for (const own of bySkill.values()) {
      const sample = own[round];
      if (sample !== undefined && chosen.size < limit) chosen.add(sample);
    }
  }
  return samples.filter((sample) => chosen.has(sample));
}

function renderSample({ skill, prompt, expected, text, match }: Sample): Html {
  const cell = (value: string) => {
    const shown = value.length > MOST_CHARACTERS ? `${value.slice(0, MOST_CHARACTERS)}…` : value;
    return html`<td><div class="text">${shown}</div></td>`;
  };
  const verdict =
    match === undefined
      ? html`<td></td>`
      : match
        ? html`<td class="verdict good">✓ right</td>`
        : html`<td class="verdict bad">✗ wrong</td>`;
  return html`<tr data-skill="${skill}" data-correct="${match === false ? "no" : "yes"}">
    <td class="muted">${skill}</td>
    ${cell(prompt)}${cell(expected)}${cell(text)}${verdict}
  </tr>`;
}

function renderStageSamples(stage: ReportStage, open: boolean): Html {
  const chosen = chooseSamples(stage.samples, MOST_SAMPLES);
  const skills = [...new Set(chosen.map(({ skill }) => skill))];
  const judged = stage.samples.filter(({ match }) => match !== undefined);
  const right = judged.filter(({ match }) => match).length;
  const note = [
    judged.length > 0 ? `${right} of ${judged.length} right` : "",
    chosen.length < stage.samples.length
      ? `${chosen.length} of ${stage.samples.length} answers are in this report`
      : "",
  ].filter((part) => part !== "");
  return html`<div class="panel samples" data-samples="">
    <div class="bar">
      <div>
        <h3>after ${evaluatedModel(stage)}</h3>
        <span class="muted">${note.join("; ")}</span>
      </div>
      <div class="toggles">
        <span class="muted" data-count="" aria-live="polite"></span>
        ${
          skills.length > 1
            ? html`<select aria-label="Skill">
                <option value="">All skills</option>
                ${skills.map((skill) => html`<option value="${skill}">${skill}</option>`)}
              </select>`
            : ""
        }
        ${right < judged.length ? html`<label class="toggle"><input type="checkbox" />Only wrong ones</label>` : ""}
      </div>
    </div>
    <details ${open ? html`open=""` : ""}>
      <summary>Answers</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Skill</th>
              <th scope="col">Prompt</th>
              <th scope="col">Expected</th>
              <th scope="col">Got</th>
              <th scope="col">Verdict</th>
            </tr>
          </thead>
          <tbody>
            ${chosen.map(renderSample)}
          </tbody>
        </table>
      </div>
    </details>
  </div>`;
}

/** Returns the sampled answers of every evaluation, the newest model's first and open. */
export function renderSamples({ stages }: RunData, { models }: Comparison): Html {
  const order = (stage: ReportStage) => models.indexOf(evaluatedModel(stage));
  const sampled = stages
    .filter(({ samples }) => samples.length > 0)
    .sort((a, b) => order(b) - order(a));
  if (sampled.length === 0) return html``;
  return html`<section id="samples">
    <h2>Sampled answers</h2>
    ${sampled.map((stage, i) => renderStageSamples(stage, i === 0))}
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

/** Returns the resolved recipe as YAML. */
export function renderRecipe({ recipe, recipeFile }: RunData): Html {
  if (recipe === undefined) return html``;
  const lines = stringify(recipe, { lineWidth: 0 }).trimEnd().split("\n");
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
