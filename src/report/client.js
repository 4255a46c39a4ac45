/**
 * @file The script inside a report: draws the curves with uPlot, filters the sampled answers,
 * copies the recipe. Reads its data from the element #report-data; text enters the page through
 * textContent alone.
 */
/* global document, window, navigator, uPlot, ResizeObserver, getComputedStyle, setTimeout */
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const PLOT_HEIGHT = 230;
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /**
   * Mean over neighbouring points, weighted by a Gaussian: unlike a running mean it does not lag
   * behind the curve. A thirtieth of the curve to either side counts.
   */
  function smooth(values) {
    const sigma = Math.max(2, values.length / 60);
    const reach = Math.ceil(2.5 * sigma);
    return values.map((value, i) => {
      if (value === null) return null;
      let sum = 0;
      let weights = 0;
      for (let j = Math.max(0, i - reach); j <= Math.min(values.length - 1, i + reach); j++) {
        if (values[j] === null) continue;
        const weight = Math.exp(-(((j - i) / sigma) ** 2) / 2);
        sum += weight * values[j];
        weights += weight;
      }
      return sum / weights;
    });
  }

  function formatValue(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return size >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(4);
  }

  function formatTick(value) {
    if (value === null) return "";
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(4)}k`;
    if (size !== 0 && size < 1e-3) return value.toExponential().replace("e-", "e−");
    return String(+value.toPrecision(6));
  }

  /** The curves of a chart on one common axis, smoothed ones beside the raw ones. */
  function tableOf(chart, smoothing) {
    const tables = [];
    const series = [];
    chart.series.forEach((one, i) => {
      const stroke = () => colour(`curve-${(i % 4) + 1}`);
      const marks = one.form === "marks";
      const isSmoothed = smoothing && one.form === "noisy" && one.x.length > 12;
      tables.push([one.x, one.y]);
      series.push({
        label: one.label,
        stroke: isSmoothed ? () => `${colour(`curve-${(i % 4) + 1}`)}70` : stroke,
        width: isSmoothed ? 1 : 1.75,
        spanGaps: true,
        points: { show: marks && one.x.length <= 60, size: 6, fill: stroke, width: 0 },
        value: (_, value) => formatValue(value),
      });
      if (!isSmoothed) return;
      tables.push([one.x, smooth(one.y)]);
      series.push({
        label: "smoothed",
        stroke,
        width: 2,
        spanGaps: true,
        points: { show: false },
        value: (_, value) => formatValue(value),
      });
    });
    return { values: uPlot.join(tables), series };
  }

  function axis(extra) {
    return {
      stroke: () => colour("muted"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: () => colour("line"), width: 1 },
      ticks: { show: false },
      ...extra,
    };
  }

  function draw(figure, chart, { log, smoothing, group }) {
    const holder = figure.querySelector(".plot");
    const { values, series } = tableOf(chart, smoothing);
    const isLog =
      log &&
      chart.logScale &&
      values
        .slice(1)
        .flat()
        .every((v) => v == null || v > 0);
    // Without a cursor the legend shows where each curve ended.
    const lastOf = (column) =>
      column.findLastIndex((value) => value !== null && value !== undefined);
    const showLast = (u) => {
      if (u.cursor.idx == null) u.setLegend({ idxs: u.data.map(lastOf) }, false);
    };
    const options = {
      width: Math.max(240, holder.clientWidth),
      height: PLOT_HEIGHT,
      padding: [8, 12, 0, 0],
      cursor: { sync: { key: group }, y: false, points: { size: 7 } },
      hooks: { ready: [showLast], setCursor: [showLast] },
      legend: { markers: { width: 0, fill: (u, i) => u.series[i].stroke(u, i) } },
      scales: { x: { time: false }, y: isLog ? { distr: 3 } : {} },
      axes: [
        axis({ size: 28, values: (_, ticks) => ticks.map(formatTick) }),
        axis({ size: 58, values: (_, ticks) => ticks.map(formatTick) }),
      ],
      series: [
        { label: "step", value: (_, value) => (value === null ? "–" : String(value)) },
        ...series,
      ],
    };
    holder.replaceChildren();
    return new uPlot(options, values, holder);
  }

  const redraws = [];
  for (const section of document.querySelectorAll("[data-training]")) {
    const charts = data.trainings[Number(section.dataset.training)];
    const isOn = (name) => section.querySelector(`[data-toggle="${name}"]`)?.checked ?? false;
    const plots = [];
    const redraw = () => {
      for (const { plot } of plots) plot.destroy();
      plots.length = 0;
      for (const figure of section.querySelectorAll("[data-chart]")) {
        const chart = charts[Number(figure.dataset.chart)];
        const group = `training-${section.dataset.training}`;
        const plot = draw(figure, chart, { log: isOn("log"), smoothing: isOn("smooth"), group });
        plots.push({ figure, plot });
      }
    };
    redraw();
    redraws.push(redraw);
    for (const toggle of section.querySelectorAll("[data-toggle]")) {
      toggle.addEventListener("change", redraw);
    }
    new ResizeObserver(() => {
      for (const { figure, plot } of plots) {
        const width = Math.max(240, figure.querySelector(".plot").clientWidth);
        if (width !== plot.width) plot.setSize({ width, height: PLOT_HEIGHT });
      }
    }).observe(section);
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const redraw of redraws) redraw();
  });

  for (const panel of document.querySelectorAll("[data-samples]")) {
    const skill = panel.querySelector("select");
    const wrong = panel.querySelector("input");
    const count = panel.querySelector("[data-count]");
    const rows = [...panel.querySelectorAll("tbody tr")];
    const filter = () => {
      let shown = 0;
      for (const row of rows) {
        const matches =
          (!skill?.value || row.dataset.skill === skill.value) &&
          (!wrong?.checked || row.dataset.correct === "no");
        row.hidden = !matches;
        if (matches) shown++;
      }
      count.textContent = `${shown} of ${rows.length} shown`;
    };
    skill?.addEventListener("change", filter);
    wrong?.addEventListener("change", filter);
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    const label = button.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // No clipboard for a local file in this browser: select it for the keyboard.
        const range = document.createRange();
        range.selectNodeContents(source);
        window.getSelection().removeAllRanges();
        window.getSelection().addRange(range);
        button.textContent = "Selected: press Ctrl+C";
      }
      setTimeout(() => (button.textContent = label), 2000);
    });
  }
})();
