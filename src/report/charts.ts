/** @file The curves of a training stage: what is drawn, and the words for who cannot see it. */
import { sanitize } from "../base/sanitize.js";
import { formatNumber } from "./format.js";
import { html, type Html } from "./html.js";
import { decimate, seriesOf, type Metrics } from "./metrics.js";
import type { ReportStage } from "./run-data.js";

// More points than pixels of a wide chart show nothing and weigh.
const MOST_POINTS = 2000;

/** One curve for the script in the page: `null` where a value is not a finite number. */
export interface ChartSeries {
  name: string;
  label: string;
  x: number[];
  y: (number | null)[];
  /** `noisy` curves may be smoothed; of `marks`, logged seldom, each point is drawn. */
  form: "line" | "noisy" | "marks";
}

export interface Chart {
  title: string;
  /** Whether a logarithmic scale says something. */
  logScale: boolean;
  /** Half the page wide, not a third. */
  wide: boolean;
  series: ChartSeries[];
  /** Steps at which a figure was not finite. */
  notFinite: number[];
}

/** One chart: its title and the figures drawn in it, those that were logged. */
interface ChartPlan {
  title: string;
  logScale: boolean;
  wide: boolean;
  figures: Readonly<Record<string, { label: string; form: ChartSeries["form"] }>>;
}

const plans: readonly ChartPlan[] = [
  {
    title: "Loss",
    logScale: true,
    wide: true,
    figures: {
      loss: { label: "train loss", form: "noisy" },
      eval_loss: { label: "held-out loss", form: "marks" },
    },
  },
  {
    title: "Negative log-likelihood per token",
    logScale: true,
    wide: true,
    figures: {
      nll: { label: "train", form: "marks" },
      eval_nll: { label: "held-out", form: "marks" },
    },
  },
  {
    title: "Learning rate",
    logScale: false,
    wide: false,
    figures: { learning_rate: { label: "learning rate", form: "line" } },
  },
  {
    title: "Gradient norm",
    logScale: true,
    wide: false,
    figures: { grad_norm: { label: "norm before clipping", form: "noisy" } },
  },
  {
    title: "Throughput",
    logScale: false,
    wide: false,
    figures: { tokens_per_second: { label: "tokens per second", form: "noisy" } },
  },
];

/** Figures that say where in the training a step is, or that another curve already says. */
const notDrawn = new Set(["epoch", "ppl", "eval_ppl", "tokens", "elapsed_seconds"]);

// Two points make a curve that says nothing; a figure logged so seldom is in the summary.
const LEAST_POINTS = 2;

function drawn(metrics: Metrics, name: string): { series: ChartSeries; notFinite: number[] } {
  const { steps, values } = decimate(seriesOf(metrics, name), MOST_POINTS);
  return {
    series: {
      name,
      label: name,
      x: steps,
      y: values.map((value) => (Number.isFinite(value) ? value : null)),
      form: "line",
    },
    notFinite: steps.filter((_, i) => !Number.isFinite(values[i]!)),
  };
}

/** Returns the charts of a stage: the known figures, then any other that was logged. */
export function chartsOf(metrics: Metrics): Chart[] {
  const known = new Set(plans.flatMap(({ figures }) => Object.keys(figures)));
  const others = metrics.names
    .filter((name) => !known.has(name) && !notDrawn.has(name))
    .map((name): ChartPlan => ({
      title: name,
      logScale: false,
      wide: false,
      figures: { [name]: { label: sanitize(name), form: "noisy" } },
    }));
  return [...plans, ...others].flatMap(({ title, logScale, wide, figures }): Chart[] => {
    const found = Object.entries(figures)
      .filter(([name]) => seriesOf(metrics, name).steps.length >= LEAST_POINTS)
      .map(([name, { label, form }]) => {
        const { series, notFinite } = drawn(metrics, name);
        return { series: { ...series, label, form }, notFinite };
      });
    if (found.length === 0) return [];
    const notFinite = [...new Set(found.flatMap((one) => one.notFinite))].sort((a, b) => a - b);
    return [{ title, logScale, wide, series: found.map(({ series }) => series), notFinite }];
  });
}

/** A curve in words: `train loss 6.21 at step 10 to 2.03 at step 800`. */
function describe({ label, x, y }: ChartSeries): string {
  const first = y.findIndex((value) => value !== null);
  const last = y.findLastIndex((value) => value !== null);
  if (first < 0) return `${label}: no finite value`;
  const at = (i: number) => `${formatNumber(y[i]!)} at step ${formatNumber(x[i]!)}`;
  return `${label}: ${at(first)} to ${at(last)}`;
}

function listSteps(steps: readonly number[]): string {
  const more = steps.length > 5 ? `, … (${steps.length} in all)` : "";
  return steps.slice(0, 5).map(formatNumber).join(", ") + more;
}

/** Returns the section of one training stage; `index` finds its charts in the page's data. */
export function renderCharts(stage: ReportStage, charts: readonly Chart[], index: number): Html {
  const canLog = charts.some(({ logScale }) => logScale);
  return html`<section class="training" data-training="${index}">
    <div class="bar">
      <h3>${stage.id}</h3>
      <div class="toggles">
        ${
          canLog
            ? html`<label class="toggle"
                ><input type="checkbox" data-toggle="log" />Log scale</label
              >`
            : ""
        }
        <label class="toggle"
          ><input type="checkbox" data-toggle="smooth" checked="" />Smoothing</label
        >
      </div>
    </div>
    <div class="charts">
      ${charts.map(
        ({ title, wide, series, notFinite }, i) =>
          html`<figure class="chart ${wide ? "wide" : ""}" data-chart="${i}">
            <h4>${title}</h4>
            <div class="plot"></div>
            <figcaption>
              <span class="spoken">${series.map(describe).join("; ")}</span>
              ${
                notFinite.length > 0
                  ? html`<span class="bad">not finite at step ${listSteps(notFinite)}</span>`
                  : ""
              }
            </figcaption>
          </figure>`,
      )}
    </div>
  </section>`;
}
