/**
 * @file The style sheet of a report. Colours pass WCAG AA on their backgrounds in both schemes;
 * the curves' colours differ in lightness as well as hue.
 */
export const reportStyle = `
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --surface: #ffffff; --sunken: #f1f1ee; --text: #1b1d21; --muted: #5c626d;
  --line: #e3e3df; --accent: #1a56b0; --good: #17693f; --bad: #b3261e; --idle: #8a8f98;
  --good-tint: #e5f3ea; --bad-tint: #fbe9e7;
  --curve-1: #1a56b0; --curve-2: #c2500a; --curve-3: #17693f; --curve-4: #7a3aa8;
  --before: #a9b0bc; --key: #1a56b0; --literal: #a04308;
  --shadow: 0 1px 2px rgb(20 22 26 / 6%), 0 1px 8px rgb(20 22 26 / 4%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1114; --surface: #17191e; --sunken: #1e2127; --text: #e8eaee; --muted: #a1a8b3;
    --line: #2a2e36; --accent: #84b4ff; --good: #68cf97; --bad: #ff8f85; --idle: #7b828e;
    --good-tint: #14291e; --bad-tint: #331a19;
    --curve-1: #7fb0ff; --curve-2: #ffa766; --curve-3: #68cf97; --curve-4: #c9a0f0;
    --before: #5a626f; --key: #84b4ff; --literal: #ffb07a;
    --shadow: none;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { scroll-padding-top: 4rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word;
  font: 15px/1.55 Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif;
}
main, header > div, nav > div { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { padding: 40px 0 20px; }
header .product { color: var(--muted); font-size: 13px; letter-spacing: .02em; }
h1 { font-size: 32px; line-height: 1.15; letter-spacing: -.02em; margin: 4px 0 8px; font-weight: 680; }
h2 { font-size: 20px; letter-spacing: -.01em; margin: 0 0 16px; font-weight: 650; }
h3 { font-size: 15px; margin: 0; font-weight: 620; }
h4 { font-size: 13px; margin: 0 0 6px; font-weight: 600; color: var(--text); }
p { margin: 0 0 12px; max-width: 72ch; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.muted, header p, figcaption { color: var(--muted); }
header p { margin: 0; }
.status { display: inline-block; padding: 1px 10px; border-radius: 99px; font-size: 12.5px; font-weight: 600; margin-right: 8px; }
.status.good { color: var(--good); background: var(--good-tint); }
.status.bad { color: var(--bad); background: var(--bad-tint); }
.status.idle { color: var(--muted); background: var(--sunken); }
nav {
  position: sticky; top: 0; z-index: 5; background: var(--page); border-bottom: 1px solid var(--line);
}
nav > div { display: flex; gap: 22px; overflow-x: auto; }
nav a {
  padding: 11px 0; color: var(--muted); text-decoration: none; font-size: 13.5px; font-weight: 550;
  white-space: nowrap; border-bottom: 2px solid transparent;
}
nav a:hover { color: var(--text); border-color: var(--line); }
main > section { padding: 36px 0 4px; }
.card, .chart, .panel {
  background: var(--surface); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow);
}
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(240px, 46%), 1fr)); gap: 14px; margin-bottom: 16px; }
.card { padding: 16px 18px; }
.card .name { color: var(--muted); font-size: 13px; }
.card .value { font-size: 28px; line-height: 1.25; font-weight: 640; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.card .note { color: var(--muted); font-size: 13px; }
.panel { padding: 18px 20px; margin: 0 0 16px; }
.panel > h3 { margin-bottom: 12px; }
.remarks { border-left: 3px solid var(--bad); font-size: 14px; }
.remarks ul { margin: 6px 0 0; padding-left: 20px; }
.bar { display: flex; align-items: center; justify-content: space-between; gap: 12px; flex-wrap: wrap; margin: 0 0 12px; }
.training { margin-bottom: 28px; }
.toggles { display: flex; gap: 8px; flex-wrap: wrap; align-items: center; }
.toggle, button, select {
  display: inline-flex; align-items: center; gap: 7px; border: 1px solid var(--line); border-radius: 8px;
  background: var(--surface); color: var(--text); padding: 5px 11px; cursor: pointer;
  font-family: inherit; font-size: 13px; font-weight: 550; line-height: 1.4;
}
.toggle:hover, button:hover, select:hover { border-color: var(--muted); }
.toggle input { accent-color: var(--accent); margin: 0; }
.charts { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 14px; }
.chart { grid-column: span 2; } .chart.wide { grid-column: span 3; }
@media (max-width: 900px) { .chart, .chart.wide { grid-column: span 6; } }
.chart { margin: 0; padding: 14px 16px 12px; min-width: 0; }
.plot { min-height: 262px; }
figcaption { font-size: 12.5px; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.uplot { width: 100%; font-family: inherit; }
.u-legend { font-size: 12.5px; text-align: left; margin: 0; color: var(--muted); }
.u-legend th { font-weight: 500; }
.u-legend .u-value { color: var(--text); font-variant-numeric: tabular-nums; min-width: 4.5em; }
.u-legend .u-marker { width: 10px; height: 10px; border-radius: 3px; border: 0; }
.u-series:first-child .u-marker { display: none; }
.u-cursor-x { border-color: var(--muted) !important; }
.u-select { background: var(--accent); opacity: .12; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 8px 14px 8px 0; border-bottom: 1px solid var(--line); }
.u-legend th, .u-legend td { border: 0; padding: 2px 4px 2px 0; }
.u-legend tr { border: 0; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--muted); font-weight: 550; font-size: 12.5px; white-space: nowrap; }
tbody th { font-weight: 550; }
.metric { white-space: nowrap; }
td.figure, th.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-right: 0; padding-left: 14px; }
td .best, .best { font-weight: 650; }
.stderr { color: var(--muted); font-size: 12.5px; }
.skill { padding-left: 18px; font-weight: 450; }
.mono, code, pre { font-family: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
.hash { overflow-wrap: anywhere; }
pre { margin: 0; padding: 16px 18px; overflow: auto; max-height: 560px; line-height: 1.6; background: var(--sunken); border-radius: 8px; tab-size: 2; }
pre .key { color: var(--key); } pre .literal { color: var(--literal); }
details { margin-top: 12px; }
details > summary { cursor: pointer; color: var(--muted); font-size: 13.5px; }
svg { max-width: 100%; height: auto; display: block; }
svg text { fill: var(--text); font-family: inherit; font-size: 13px; }
.dag { min-width: 720px; margin: 0 auto; }
.dag .node rect { fill: var(--surface); stroke: var(--line); stroke-width: 1.25; }
.dag .node .band { stroke: none; }
.dag .node text { fill: var(--muted); font-size: 12px; }
.dag .node .id { fill: var(--text); font-weight: 620; font-size: 13.5px; }
.dag .edge { fill: none; stroke: var(--idle); stroke-width: 1.4; opacity: .7; }
.dag .tone-good .band { fill: var(--good); } .dag .tone-bad .band { fill: var(--bad); } .dag .tone-idle .band { fill: var(--idle); }
svg.bars[role] { min-width: 620px; }
.bars .before { fill: var(--before); } .bars .after { fill: var(--accent); }
.bars .value { font-size: 12px; text-anchor: start; fill: var(--muted); font-variant-numeric: tabular-nums; }
.bars .track { fill: var(--sunken); }
.time { width: 100%; height: 18px; border-radius: 5px; }
.time rect { stroke: var(--surface); stroke-width: 2; }
.c0 { fill: var(--idle); } .c1 { fill: var(--curve-1); } .c2 { fill: var(--curve-2); } .c3 { fill: var(--curve-3); } .c4 { fill: var(--curve-4); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; color: var(--muted); margin-top: 10px; }
.legend svg { display: inline-block; width: 10px; height: 10px; margin-right: 6px; }
.samples .scroll { max-height: 620px; overflow: auto; margin-top: 8px; }
.samples thead th { position: sticky; top: 0; background: var(--surface); box-shadow: inset 0 -1px var(--line); }
.samples td { padding-top: 10px; padding-bottom: 10px; }
.samples th:first-child, .samples td:first-child { white-space: nowrap; }
.samples .text { white-space: pre-wrap; max-height: 12em; overflow: auto; }
.verdict { white-space: nowrap; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
[hidden] { display: none !important; }
footer { color: var(--muted); font-size: 13px; padding: 28px 0 56px; }
@media (max-width: 640px) { main, header > div, nav > div { padding: 0 16px; } h1 { font-size: 26px; } }
@media print {
  nav, .toggles, button { display: none; } body { background: none; }
  .card, .chart, .panel { box-shadow: none; break-inside: avoid; } pre { max-height: none; }
}
`;
