import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { drawDag, layersOf } from "../../src/report/dag.js";
import {
  formatBytes,
  formatDuration,
  formatMetric,
  formatNumber,
} from "../../src/report/format.js";
import { embedJson, escapeHtml, html } from "../../src/report/html.js";
import { writeReport } from "../../src/report/report.js";
import { chooseSamples } from "../../src/report/evaluation-sections.js";
import { writeFakeRun, type FakeRun } from "../support/fake-run.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

/** The report of a run that `change` has changed. */
const reportOf = (change: (run: FakeRun) => void = () => undefined): Promise<string> =>
  inTemporaryDirectory(async (root) => {
    const run = writeFakeRun(root);
    change(run);
    const path = await writeReport({ runDirectory: run.directory });
    expect(path).toBe(join(run.directory, "report.html"));
    return readFileSync(path, "utf8");
  });

/** The text of markup. */
function textOf(markup: string): string {
  const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
  return markup
    .replace(/<[^>]*>/g, "")
    .replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name]!);
}

/** Elements of a report as a browser sees them, without the content of scripts and styles. */
function tagsOf(report: string): string[] {
  const withoutCode = report.replace(/(<(script|style)\b[^>]*>)[\s\S]*?<\/\2>/g, "$1");
  return withoutCode.match(/<[a-z!][^>]*>/gi) ?? [];
}

const scriptsOf = (report: string) =>
  [...report.matchAll(/<script(?: type="module")?>([\s\S]*?)<\/script>/g)].map(([, text]) => text!);

interface PageData {
  trainings: { title: string; series: { name: string; x: number[]; y: (number | null)[] }[] }[][];
}
const dataOf = (report: string): PageData =>
  JSON.parse(
    /<script type="application\/json" id="report-data">\s*([\s\S]*?)\s*<\/script>/.exec(
      report,
    )![1]!,
  ) as PageData;

describe("a finished run", () => {
  test("shows its figures, answers, stages, recipe and fingerprints", async () => {
    const report = await reportOf();
    for (const text of [
      "<h1>quickstart</h1>",
      ">Finished<",
      "5 min 16 s",
      // Perplexity after and before the SFT, with its standard error.
      "1.14",
      "101.5",
      "± 2.131",
      "What is the capital of Norway?",
      "learning_rate changed 0.0005 -&gt; 0.0007 (recipes/quickstart.yaml:34:20)",
      "mc_num 32, linear schedule",
      process.versions.node,
    ]) {
      expect(report).toContain(text);
    }
    // What the button copies is the recipe.
    const code = /<pre id="recipe-text"[^>]*>([\s\S]*?)<\/pre>/.exec(report)![1]!;
    expect(parse(textOf(code))).toMatchObject({
      name: "quickstart",
      sft: { dataset_args: "chat", learning_rate: 0.0007 },
      model: { config: { hidden_size: 192 } },
    });
    expect(report.match(/[0-9a-f]{64}/g)!.length).toBeGreaterThanOrEqual(16);
    const shown = textOf(report.replace(/<script\b[\s\S]*?<\/script>/g, ""));
    expect(shown.match(/.{20}(undefined|NaN|\[object).{20}/)?.[0]).toBeUndefined();
  });

  test("carries every point of the curves", async () => {
    const [pretrain, sft] = dataOf(await reportOf()).trainings;
    expect(pretrain!.map(({ title }) => title)).toEqual([
      "Loss",
      "Negative log-likelihood per token",
      "Learning rate",
      "Gradient norm",
      "Throughput",
    ]);
    const [loss, heldOut] = pretrain![0]!.series;
    expect(loss).toMatchObject({ name: "loss" });
    expect(loss!.x).toEqual(Array.from({ length: 80 }, (_, i) => 5 * (i + 1)));
    expect(heldOut!.x).toEqual(Array.from({ length: 10 }, (_, i) => 40 * (i + 1)));
    expect(sft![0]!.series[0]!.x.at(-1)).toBe(700);
  });

  test("needs nothing but itself, and its policy allows just its own scripts and style", async () => {
    const report = await reportOf();
    for (const tag of tagsOf(report)) {
      expect(tag).not.toMatch(/\s(src|srcset|data|action|style|on\w+)=/i);
      expect(tag).not.toMatch(/^<(link|iframe|img|object|embed|base|form)\b/i);
      const href = /\shref="([^"]*)"/.exec(tag)?.[1];
      if (href !== undefined) expect(href).toMatch(/^#[a-z]+$/);
    }
    expect(report).not.toMatch(/url\(|@import/);
    const scripts = scriptsOf(report);
    expect(scripts).toHaveLength(2);
    const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(report)![1]!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    const style = /<style>([\s\S]*?)<\/style>/.exec(report)![1]!;
    for (const text of [...scripts, style]) {
      expect(policy).toContain(`'sha256-${createHash("sha256").update(text).digest("base64")}'`);
    }
    for (const script of scripts) expect(() => new Script(script)).not.toThrow();
    // The compiler ends the second one in `export {}`, which only a module may.
    expect(report).toContain(`<script type="module">${scripts[1]!.slice(0, 20)}`);
  });

  test("is the same text when it is written again", async () => {
    expect(await reportOf()).toBe(await reportOf());
  });
});

describe("hostile text", () => {
  const attack = `</script><script>alert(1)</script><img src=x onerror="alert(1)">\u2028'"&\u202e`;

  test("stays text wherever it comes from", async () => {
    const report = await reportOf((run) => {
      const row = {
        index: 0,
        skill: attack,
        prompt: attack,
        expected: attack,
        text: attack,
        match: false,
      };
      const output = (name: string) => join(run.stage("eval"), "output", name);
      writeFileSync(output("samples.jsonl"), `${JSON.stringify(row)}\n`);
      const result = {
        task: attack,
        metric: attack,
        value: 0.5,
        stderr: 0.1,
        n: 3,
        protocol: attack,
      };
      writeFileSync(
        output("results.json"),
        JSON.stringify([result, { ...result, task: `exact_match:${attack}` }]),
      );
      for (const step of [1, 2, 3]) {
        appendFileSync(
          join(run.stage("sft"), "metrics.jsonl"),
          `${JSON.stringify({ step, [attack]: step })}\n`,
        );
      }
      const plan = readFileSync(join(run.directory, "plan.json"), "utf8");
      const change = JSON.parse(plan) as {
        name: string;
        recipe: string;
        stages: { reason: string; id: string }[];
      };
      change.name = attack;
      change.recipe = attack;
      change.stages[0]!.reason = attack;
      change.stages[0]!.id = attack;
      writeFileSync(join(run.directory, "plan.json"), JSON.stringify(change));
      writeFileSync(
        join(run.directory, "recipe.resolved.json"),
        JSON.stringify({ [attack]: attack, list: [attack] }),
      );
    });
    expect(scriptsOf(report)).toHaveLength(2);
    for (const tag of tagsOf(report)) expect(tag).not.toMatch(/^<img/i);
    for (const tag of tagsOf(report)) {
      const withoutValues = tag.replace(/="[^"]*"/g, "");
      expect(withoutValues).toMatch(/^<[!a-z0-9]+(\s+[a-z-]+)*\s*\/?>$/i);
    }
    // The name of the figure is in the page's data, whole.
    const names = dataOf(report)
      .trainings.flat()
      .flatMap(({ series }) => series.map(({ name }) => name));
    expect(names).toContain(attack);
    // It was shown, and harmless: bidirectional overrides are gone.
    expect(report).toContain(
      "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&quot;",
    );
    expect(report.includes("\u202e")).toBe(false);
  });

  test("a stage whose name is a path is not followed", async () => {
    const report = await reportOf((run) => {
      const path = join(run.directory, "plan.json");
      const plan = readFileSync(path, "utf8").replaceAll('"pretrain"', '"../../../secret"');
      writeFileSync(path, plan);
    });
    expect(report).toContain("7 of 8 stages finished");
  });

  test("is escaped by the template, and JSON cannot end its element", () => {
    expect(
      html`<p title="${`"'`}">${"<b>"}${html`<i>${"&"}</i>`}${undefined}${[1, "<"]}</p>`.markup,
    ).toBe('<p title="&quot;&#39;">&lt;b&gt;<i>&amp;</i>1&lt;</p>');
    expect(escapeHtml("a\u0000\u001b[31mb")).toBe("ab");
    const { markup } = embedJson({ a: attack });
    expect(markup).not.toMatch(/[<>&\u2028]/);
    expect(JSON.parse(markup)).toEqual({ a: attack });
  });
});

describe("a run that is not finished", () => {
  test("missing and damaged files become remarks", async () => {
    const report = await reportOf((run) => {
      rmSync(join(run.directory, "recipe.resolved.json"));
      writeFileSync(join(run.stage("eval"), "output", "results.json"), "[{]");
      writeFileSync(join(run.stage("eval-pretrain"), "output", "results.json"), '[{"task":"x"}]');
      appendFileSync(join(run.stage("sft"), "metrics.jsonl"), "torn\n");
      rmSync(join(run.stage("export"), "result.json"));
    });
    expect(report).toContain("7 of 8 stages finished");
    expect(report).toMatch(/recipe.resolved.json/);
    expect(report).toMatch(/eval\/output\/results.json: not valid JSON/);
    expect(report).toContain("eval-pretrain/output/results.json: 1 rows are not figures");
    expect(report).toContain("metrics.jsonl: 1 lines are no records");
    expect(report).not.toContain('id="evaluation"');
    expect(report).not.toContain('id="recipe"');
  });

  test("a failed stage says why; a loss that is not finite is pointed out", async () => {
    const report = await reportOf((run) => {
      rmSync(join(run.stage("sft"), "result.json"));
      const message = "stage sft: loss is NaN at step 705 (2.31 at step 700)";
      writeFileSync(
        join(run.stage("sft"), "error.json"),
        JSON.stringify({ schema: 1, attempt: 1, exitCode: 1, message, details: [] }),
      );
      appendFileSync(join(run.stage("sft"), "metrics.jsonl"), '{"step":705,"loss":"NaN"}\n');
    });
    expect(report).toContain("1 of 8 stages failed");
    expect(report).toContain("loss is NaN at step 705 (2.31 at step 700)");
    expect(report).toContain("not finite at step 705");
    const loss = dataOf(report).trainings[1]![0]!.series[0]!;
    expect(loss.x.at(-1)).toBe(705);
    expect(loss.y.at(-1)).toBeNull();
  });

  test("a run that was only planned has a report", async () => {
    const report = await reportOf((run) => {
      rmSync(join(run.runs, ".store"), { recursive: true });
    });
    expect(report).toContain("0 of 8 stages finished");
    expect(dataOf(report).trainings).toEqual([]);
  });

  test("a plan that is none is refused", async () => {
    await expect(
      reportOf((run) => writeFileSync(join(run.directory, "plan.json"), "{}")),
    ).rejects.toMatchObject({
      exitCode: 65,
      message: expect.stringMatching(/plan\.json: not a plan/) as unknown,
    });
  });
});

describe("the graph of stages", () => {
  test("puts a stage right of everything that it needs", () => {
    const layers = layersOf([
      { id: "export", needs: ["sft", "eval"] },
      { id: "a", needs: [] },
      { id: "sft", needs: ["a", "b"] },
      { id: "b", needs: ["a"] },
      { id: "eval", needs: ["sft", "absent"] },
    ]);
    expect(Object.fromEntries(layers)).toEqual({ a: 0, b: 1, sft: 2, eval: 3, export: 4 });
  });

  test("a cycle in a damaged plan does not hang", () => {
    const layers = layersOf([
      { id: "a", needs: ["b"] },
      { id: "b", needs: ["a", "b"] },
    ]);
    expect([...layers.keys()].sort()).toEqual(["a", "b"]);
  });

  test("nodes do not overlap, and every need is one edge", () => {
    const node = (id: string, ...needs: string[]) => ({
      id,
      needs,
      lines: [],
      tone: "good" as const,
      title: id,
    });
    const svg = drawDag([
      node("a"),
      node("b", "a"),
      node("c", "a", "a"),
      node("d", "b", "c", "a"),
      node("e", "a", "d"),
    ]).markup;
    const boxes = [
      ...svg.matchAll(/<rect\s+x="([\d.-]+)"\s+y="([\d.-]+)"\s+width="(\d+)"\s+height="(\d+)"/g),
    ].map(([, ...numbers]) => numbers.map(Number) as [number, number, number, number]);
    expect(boxes).toHaveLength(5);
    boxes.forEach(([x, y, width, height], i) => {
      for (const [x2, y2] of boxes.slice(i + 1)) {
        expect(Math.abs(x - x2) >= width || Math.abs(y - y2) >= height).toBe(true);
      }
    });
    const edges = [...svg.matchAll(/<title>(\w+ → \w+)<\/title>/g)].map(([, edge]) => edge);
    expect(edges.sort()).toEqual(["a → b", "a → c", "a → d", "a → e", "b → d", "c → d", "d → e"]);
  });
});

test("samples are chosen evenly over skills", () => {
  const sample = (skill: string, text: string) => ({
    skill,
    prompt: "",
    expected: "",
    text,
    match: true,
  });
  const samples = [
    ...Array.from({ length: 50 }, (_, i) => sample("a", `a${i}`)),
    sample("b", "b0"),
    sample("c", "c0"),
    sample("c", "c1"),
  ];
  const chosen = chooseSamples(samples, 6).map(({ text }) => text);
  expect(chosen).toEqual(["a0", "a1", "a2", "b0", "c0", "c1"]);
  expect(chooseSamples(samples, 1000)).toHaveLength(53);
});

test("numbers are written as people read them", () => {
  expect([0, 0.00002, 0.0003, 2.31049, 1234, 54321.5, -0.5, NaN].map(formatNumber)).toEqual([
    "0",
    "2e-5",
    "0.0003",
    "2.31",
    "1,234",
    "54,322",
    "-0.5",
    "NaN",
  ]);
  expect([0.04, 9.94, 9.96, 59.4, 59.6, 187, 7503].map(formatDuration)).toEqual([
    "0.0 s",
    "9.9 s",
    "10 s",
    "59 s",
    "1 min 00 s",
    "3 min 07 s",
    "2 h 05 min",
  ]);
  expect([0, 1023, 1536, 10 * 2 ** 20, 1.5 * 2 ** 30].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1.5 KiB",
    "10 MiB",
    "1.5 GiB",
  ]);
  expect([formatMetric("exact_match", 0.925), formatMetric("ppl", 0.925)]).toEqual([
    "92.5 %",
    "0.925",
  ]);
});
