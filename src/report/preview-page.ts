/**
 * @file A preview as one HTML file that needs nothing but itself: in the look of the report,
 * without a script; the times of a row are tabs made of radio buttons.
 */
import { formatNumber } from "./format.js";
import { html, trusted, type Html } from "./html.js";
import { renderPage } from "./page.js";
import { previewStyle } from "./preview-style.js";
import {
  describeSample,
  percent,
  roleOf,
  type Preview,
  type PreviewMask,
  type PreviewRow,
  type PreviewSource,
  type PreviewStage,
  type PreviewToken,
} from "./preview-view.js";
import { reportStyle } from "./style.js";

/** Returns a preview as the text of an HTML file. */
export function previewPage(preview: Preview): string {
  const warnings = preview.stages.reduce((sum, stage) => sum + stage.warnings.length, 0);
  const status =
    warnings === 0
      ? html`<span class="status good">No warnings</span>`
      : html`<span class="status bad">${warnings} warning${warnings === 1 ? "" : "s"}</span>`;
  return renderPage({
    product: "preview",
    title: preview.recipe,
    summary: html`${status}What training sees of the data, from a sample of it; seed ${preview.seed}`,
    style: reportStyle + previewStyle,
    navigationLabel: "Trainings",
    navigation: preview.stages.map(({ id }) => [id, id] as const),
    main: html`${preview.stages.map((stage, i) => renderStage(stage, i))}
      <footer>Written by dllm. This file needs no network.</footer>`,
  });
}

function renderStage(stage: PreviewStage, index: number): Html {
  const { id, kind, maxLength, schedule, chunks, padding, warnings } = stage;
  const title =
    kind === "pretrain" ? `text in chunks of ${maxLength}` : `up to ${maxLength} tokens`;
  return html`<section id="${id}">
    <h2>${id} <span class="muted">${title}, ${schedule} schedule</span></h2>
    ${
      warnings.length === 0
        ? undefined
        : html`<div class="panel remarks">
            <h3>Look at this first</h3>
            <ul>
              ${warnings.map((warning) => html`<li>${warning}</li>`)}
            </ul>
          </div>`
    }
    <div class="panel">
      <h3>Sources</h3>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>Dataset</th>
              ${["Kept", "Dropped", "Truncated", "Tokens", "Trained", "Median", "Longest"].map(
                (name) => html`<th class="figure">${name}</th>`,
              )}
              <th class="figure">Rows by length in tokens</th>
            </tr>
          </thead>
          <tbody>
            ${stage.sources.map(renderSource)}
          </tbody>
        </table>
      </div>
      ${
        chunks &&
        html`<p class="muted after">
          These rows make ${formatNumber(chunks.rows)} chunks; ${percent(chunks.droppedShare, 1)} of
          the tokens are dropped.
        </p>`
      }
      ${
        padding &&
        html`<p class="muted after">
          In batches of ${padding.batchRows}, padding is ${percent(padding.share, 1)} of what is
          trained.
        </p>`
      }
    </div>
    ${stage.rows.length === 0 ? undefined : legend}
    ${stage.rows.map((row, i) => renderRow(row, `${index}-${i}`, i))}
  </section>`;
}

const legend = html`<p class="legend">
  <span class="tok prompt">prompt</span> <span class="tok trained">trained</span>
  <span class="tok template">template</span> <span class="tok padding">padding</span>
  <span class="tok masked">masked</span>
  <span class="muted">underlined: trained, whatever it is; hover for a token's id</span>
</p>`;

function renderSource(source: PreviewSource): Html {
  const { name, keptRows, droppedRows, truncatedRows, badRows, tokens, trainedTokens } = source;
  const bad = badRows > 0 ? html` <span class="muted">(${formatNumber(badRows)} bad)</span>` : "";
  return html`<tr>
    <th scope="row">
      ${name}
      <div class="muted">${describeSample(source)}</div>
    </th>
    <td class="figure">${formatNumber(keptRows)}</td>
    <td class="figure">${formatNumber(droppedRows)}${bad}</td>
    <td class="figure">${formatNumber(truncatedRows)}</td>
    <td class="figure">${formatNumber(tokens)}</td>
    <td class="figure">${percent(trainedTokens, tokens)}</td>
    <td class="figure">${formatNumber(source.medianLength)}</td>
    <td class="figure">${formatNumber(source.longestLength)}</td>
    <td class="figure">${renderHistogram(source.lengthHistogram)}</td>
  </tr>`;
}

const BAR_WIDTH = 26;
const BAR_HEIGHT = 40;

/** Bars by powers of two, each labelled with its lower bound. */
function renderHistogram(histogram: readonly number[]): Html {
  const first = Math.max(
    0,
    histogram.findIndex((count) => count > 0),
  );
  const shown = histogram.slice(first);
  const most = Math.max(1, ...shown);
  const bars = shown.map((count, i) => {
    const height = Math.round((BAR_HEIGHT * count) / most);
    const lower = first + i === 0 ? 0 : 2 ** (first + i);
    const x = i * BAR_WIDTH;
    return html`<g>
      <title>${formatNumber(count)} rows of ${lower} to ${2 ** (first + i + 1) - 1} tokens</title>
      <rect x="${x}" y="${BAR_HEIGHT - height}" width="${BAR_WIDTH - 3}" height="${height}" />
      <text x="${x + (BAR_WIDTH - 3) / 2}" y="${BAR_HEIGHT + 11}" text-anchor="middle">
        ${lower}
      </text>
    </g>`;
  });
  const width = Math.max(1, shown.length * BAR_WIDTH);
  return html`<svg
    class="histogram"
    role="img"
    aria-label="Rows by length"
    width="${width}"
    height="${BAR_HEIGHT + 14}"
    viewBox="0 0 ${width} ${BAR_HEIGHT + 14}"
  >
    ${bars}
  </svg>`;
}

function renderRow(row: PreviewRow, key: string, index: number): Html {
  const trained = row.tokens.filter((token) => token.trained).length;
  const views: [string, string, ReadonlySet<number>][] = [
    ["clean", `${trained} of ${row.tokens.length} tokens are trained`, new Set()],
    ...row.masks.map(
      (mask) =>
        [`t = ${mask.t}`, describeMask(mask, trained), new Set(mask.positions)] as [
          string,
          string,
          ReadonlySet<number>,
        ],
    ),
  ];
  return html`<div class="panel row">
    <h3>Row ${index + 1} <span class="muted">${row.source}, ${row.where}</span></h3>
    <div class="views">
      ${views.map(
        ([name, facts, masked], i) =>
          html`<input
              type="radio"
              name="view-${key}"
              id="view-${key}-${i}"
              ${i === 0 ? trusted("checked") : undefined}
            />
            <label for="view-${key}-${i}">${name}</label>
            <div class="view">
              <p class="muted">${facts}</p>
              ${renderTokens(row.tokens, masked)}
            </div>`,
      )}
    </div>
  </div>`;
}

function describeMask({ maskRatio, lossWeight, positions }: PreviewMask, trained: number): string {
  return (
    `mask ratio ${formatNumber(maskRatio)}: ${positions.length} of ${trained} trained tokens ` +
    `are masked; loss weight ${formatNumber(lossWeight)}`
  );
}

/** White space between the tags would be shown. */
function renderTokens(tokens: readonly PreviewToken[], masked: ReadonlySet<number>): Html {
  const rendered = tokens.map((token, at) => renderToken(token, masked.has(at)));
  return html`<div class="tokens">${rendered}</div>`;
}

/** Text as it is, its newlines and the space of a mask visible. */
function renderToken(token: PreviewToken, isMasked: boolean): Html {
  const role = isMasked ? "masked" : roleOf(token);
  const text = token.text.replaceAll("\n", "⏎");
  const breaks = token.text.includes("\n") && !isMasked ? trusted("<br>") : "";
  const name = `tok ${role}${token.trained ? " learned" : ""}`;
  return html`<span class="${name}" title="${token.id}">${text}</span>${breaks}`;
}
