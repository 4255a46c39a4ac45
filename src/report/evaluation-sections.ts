/** @file The sections of a report about evaluations: the figures, by skill, and the answers. */
import { evaluatedModel, type ComparedRow, type Comparison } from "./comparison.js";
import { formatMetric, formatNumber, isLowerBetter, isShare } from "./format.js";
import { html, type Html } from "./html.js";
import type { ReportStage, RunData, Sample } from "./run-data.js";

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
    <td class="metric">
      ${metric} <span class="muted">${isLowerBetter(metric) ? "↓" : "↑"}</span>
    </td>
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
  return html`<div class="panel scroll">
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
        ${right > 0 && right < judged.length ? html`<label class="toggle"><input type="checkbox" />Only wrong ones</label>` : ""}
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
