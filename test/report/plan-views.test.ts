import { stripVTControlCharacters } from "node:util";
import pc from "picocolors";
import { expect, test } from "vitest";
import { randomStream } from "../../src/base/random.js";
import type { PlanDetails } from "../../src/plan/details.js";
import type { Plan } from "../../src/plan/plan.js";
import { makeCommand } from "../../src/base/shell-text.js";
import type { PlannedStage } from "../../src/plan/stage.js";
import { planDot } from "../../src/report/plan-dot.js";
import { planMermaid } from "../../src/report/plan-mermaid.js";
import { planTree } from "../../src/report/plan-tree.js";

const plain = pc.createColors(false);

function stage(
  id: string,
  needs: readonly string[],
  more: Partial<PlannedStage> = {},
): PlannedStage {
  return {
    id,
    kind: "prepare",
    params: {},
    inputs: Object.fromEntries(needs.map((need) => [need, need])),
    hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 2 },
    locations: {},
    fingerprint: "0".repeat(64),
    action: "run",
    reason: "no artifact yet",
    needs,
    ...more,
  };
}

function plan(stages: readonly PlannedStage[], more: Partial<Plan> = {}): Plan {
  return {
    schema: 1,
    name: "chat",
    recipe: "recipes/chat.yaml",
    codeVersions: { prepare: 1, pretrain: 1, sft: 1, eval: 1, export: 1 },
    stages,
    ...more,
  };
}

const tokenizer = stage("prepare-tokenizer", [], { action: "reuse", reason: "finished, verified" });
const quickstart = plan([
  tokenizer,
  stage("prepare-pretrain", ["prepare-tokenizer"], {
    action: "reuse",
    reason: "finished, verified",
  }),
  stage("prepare-sft", ["prepare-tokenizer"], { action: "reuse", reason: "finished, verified" }),
  stage("pretrain", ["prepare-pretrain", "prepare-tokenizer"], {
    action: "resume",
    reason: "checkpoint at step 200",
  }),
  stage("sft", ["prepare-sft", "prepare-tokenizer", "pretrain"], {
    reason: "learning_rate changed 0.0003 -> 0.001 (recipes/chat.yaml:22:20) and 2 more",
  }),
  stage("eval-pretrain", ["pretrain", "prepare-sft"]),
  stage("eval", ["sft", "prepare-sft"]),
  stage("export", ["sft", "eval-pretrain", "eval"]),
]);

const details: PlanDetails = {
  sft: {
    engineReason: "8 devices",
    launcherReason: "one node",
    words: ["global_batch_size 384 on 8 devices: accumulation 3 instead of 1, 48 rows each"],
    command: makeCommand([
      ...["accelerate", "launch", "--config_file", "scripts/accelerate_configs/zero2.yaml"],
      ...["--num_processes", "8", "examples/bert/sft.py"],
      ...["--model_name_or_path", "answerdotai/ModernBERT-large"],
      ...["--dataset_args", "allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk"],
    ]),
    estimate: {
      parameters: 395_881_664,
      steps: 49_210,
      tokensPerStep: 393_216,
      flopsPerStep: 1.073e15,
      memory: {
        bytes: {
          weights: 0,
          gradients: 0,
          optimizer: 0,
          communication: 0,
          activations: 50 * 2 ** 30,
          logits: 0,
          process: 0,
        },
        trainingPeakBytes: 67.7 * 2 ** 30,
        evaluationPeakBytes: 0,
        peakBytes: 67.7 * 2 ** 30,
        dominant: "activations",
      },
      memoryLimitBytes: 80 * 2 ** 30,
      seconds: { low: 9_600, high: 84_000, basis: "assumed: A100, 25-55 % of 312 TFLOP/s" },
    },
  },
  eval: { words: ["never shown: the stage is reused"], command: makeCommand(["eval"]) },
};

const accelerate = { engine: "accelerate", launcher: "local", device: "cuda", threads: 1 } as const;
const large = plan([
  stage("prepare-sft", []),
  stage("sft", ["prepare-sft"], {
    hardware: accelerate,
    blocked: "this version does not start accelerate itself: run the command",
  }),
  stage("eval", ["sft"], { action: "reuse", reason: "finished, verified" }),
]);

function sweep(count: number): Plan {
  const trials = Array.from({ length: count }, (_, index) => ({
    id: `t${index}`,
    parameters: { "sft.learning_rate": (index + 1) * 1e-4, "sft.lr_scheduler_type": "cosine" },
    stages: { pretrain: "pretrain", sft: `sft.t${index}`, eval: `eval.t${index}` },
  }));
  return plan(
    [
      stage("pretrain", [], { action: "reuse", reason: "finished, verified" }),
      ...trials.flatMap(({ stages }, index) => [
        stage(stages.sft, ["pretrain"], index === 0 ? { action: "reuse" } : {}),
        stage(stages.eval, [stages.sft]),
      ]),
    ],
    {
      sweep: {
        method: "grid",
        metric: { name: "eval_loss", goal: "minimize" },
        earlyTermination: { type: "hyperband", rungs: [1, 3, 9], eta: 3 },
        trials,
      },
    },
  );
}

const tree = (given: Plan, of: PlanDetails = {}, colors = plain) =>
  planTree(given, { colors, details: of }).join("\n");

test("a tree: each stage once, below what it needs, with action and reason", () => {
  expect(tree(quickstart)).toBe(`\
chat (recipes/chat.yaml)

prepare-tokenizer       reuse   finished, verified
├─ prepare-sft          reuse   finished, verified
│  ├─ eval-pretrain (below)
│  └─ sft (below)
└─ prepare-pretrain     reuse   finished, verified
   └─ pretrain          resume  checkpoint at step 200
      ├─ eval-pretrain  run     no artifact yet
      │  └─ export (below)
      └─ sft            run     learning_rate changed 0.0003 -> 0.001
         │                      (recipes/chat.yaml:22:20) and 2 more
         └─ eval        run     no artifact yet
            └─ export   run     no artifact yet

5 of 8 stages to run (1 from a checkpoint), 3 reused`);
});

test("a stage to run: where and why there, what it takes, and the command to copy", () => {
  expect(tree(large, details)).toBe(`\
chat (recipes/chat.yaml)

prepare-sft  run     no artifact yet
└─ sft       run     no artifact yet
   │  cannot run here: this version does not start accelerate itself: run the
   │    command
   │  accelerate engine: 8 devices; local launcher: one node
   │  396 M parameters; 49,210 steps of up to 393,216 tokens, 1.07 PFLOP each
   │  memory about 67.7 GiB of 80.0 GiB per device, most of it: activations
   │  time 2 h 40 min to 23 h 20 min (assumed: A100, 25-55 % of 312 TFLOP/s)
   │  global_batch_size 384 on 8 devices: accumulation 3 instead of 1, 48 rows
   │    each
   └─ eval   reuse   finished, verified

2 of 3 stages to run, 1 reused

command of sft
accelerate launch --config_file scripts/accelerate_configs/zero2.yaml \\
    --num_processes 8 examples/bert/sft.py \\
    --model_name_or_path answerdotai/ModernBERT-large \\
    --dataset_args 'allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk'`);
});

test("a sweep: shared stages in the tree, a line per trial, the first one in full", () => {
  const ofFirst = { "sft.t0": details["sft"]!, "eval.t0": { words: ["a word"] } };
  expect(tree(sweep(3), ofFirst)).toBe(`\
chat (recipes/chat.yaml)

pretrain  reuse   finished, verified

3 trials: grid over sft.learning_rate, sft.lr_scheduler_type; minimize
eval_loss; of those at 1, 3, 9 logged values, 1/3 go on
  t0  learning_rate 0.0001, lr_scheduler_type cosine  run eval; reuse sft
  t1  learning_rate 0.0002, lr_scheduler_type cosine  run sft, eval
  t2  learning_rate 0.0003, lr_scheduler_type cosine  run sft, eval

stages of the first trial
sft.t0      reuse   no artifact yet
└─ eval.t0  run     no artifact yet
      a word

5 of 7 stages to run, 2 reused`);
});

test("many trials and many stages are counted", () => {
  const shown = planTree(sweep(10_000), { colors: plain });
  expect(shown.filter((line) => line.startsWith("  t"))).toHaveLength(20);
  expect(shown).toContain("  and 9,980 more trials");
  expect(shown.at(-1)).toBe("19999 of 20001 stages to run, 2 reused");
  const chain = Array.from({ length: 45 }, (_, i) => stage(`s${i}`, i === 0 ? [] : ["s0"]));
  const lines = planTree(plan(chain), { colors: plain });
  expect(lines.filter((line) => line.includes("no artifact yet"))).toHaveLength(40);
  expect(lines).toContain("and 5 more stages");
});

test("every line of a plan keeps within 80 columns", () => {
  for (const given of [quickstart, large, sweep(25)]) {
    for (const line of planTree(given, { colors: plain, details })) {
      expect(line.length).toBeLessThanOrEqual(80);
    }
  }
});

test("in random graphs every stage stands once in full, below one that it needs", () => {
  const stream = randomStream({ seed: 5, purpose: "order" });
  for (let round = 0; round < 50; round++) {
    const stages = Array.from({ length: 1 + stream.below(12) }, (_, i) => {
      const needs = Array.from({ length: i === 0 ? 0 : stream.below(4) }, () => stream.below(i));
      return stage(
        `s${i}`,
        [...new Set(needs)].map((need) => `s${need}`),
      );
    });
    const lines = planTree(plan(stages), { colors: plain });
    const full = lines.filter((line) => line.includes("no artifact yet"));
    const idOf = (line: string) => /s\d+/.exec(line)![0];
    expect(full.map(idOf).sort()).toEqual(stages.map(({ id }) => id).sort());
    const isShown = new Set<string>();
    const open: string[] = [];
    for (const line of lines.filter((text) => /s\d+ /.test(text) && !text.includes("stages"))) {
      const depth = line.search(/s\d/) / 3;
      const parent = open[depth - 1];
      const needs = stages.find(({ id }) => id === idOf(line))!.needs;
      if (depth > 0) expect(needs).toContain(parent);
      else expect(needs).toEqual([]);
      if (line.endsWith("(above)")) expect(isShown).toContain(idOf(line));
      if (line.endsWith("(below)")) expect(isShown).not.toContain(idOf(line));
      else isShown.add(idOf(line));
      open.length = depth;
      open.push(idOf(line));
    }
  }
});

test("colours follow the action; without a terminal there are none", () => {
  const colored = tree(large, details, pc.createColors(true));
  expect(colored).toContain("\u001b[32mrun   \u001b[39m");
  expect(colored).toContain("\u001b[31mcannot run here");
  expect(stripVTControlCharacters(colored)).toBe(tree(large, details));
});

test("DOT: all edges, actions as colours, what is blocked in red", () => {
  expect(planDot(large)).toBe(`\
digraph "chat" {
  rankdir=LR;
  node [shape=box, style="rounded,filled", fontname="Helvetica"];
  "prepare-sft" [label="prepare-sft\\nrun: no artifact yet", fillcolor="#d7f0e0"];
  "sft" [label="sft\\nrun: no artifact yet", fillcolor="#d7f0e0", color="#b3261e"];
  "eval" [label="eval\\nreuse: finished, verified", fillcolor="#e8eaee"];
  "prepare-sft" -> "sft";
  "sft" -> "eval";
}
`);
  expect(planDot(quickstart).match(/^ {2}"[\w-]+" -> "[\w-]+";$/gm)).toHaveLength(14);
});

test("Mermaid: nodes with names of their own, a class per action", () => {
  expect(planMermaid(large)).toBe(`\
flowchart LR
  s0["prepare-sft<br>run: no artifact yet"]:::run
  s1["sft<br>run: no artifact yet"]:::blocked
  s2["eval<br>reuse: finished, verified"]:::reuse
  s0 --> s1
  s1 --> s2
  classDef run fill:#d7f0e0,stroke:#17693f,color:#1b1d21
  classDef blocked fill:#fbe9e7,stroke:#b3261e,color:#1b1d21
  classDef reuse fill:#e8eaee,stroke:#8a8f98,color:#1b1d21
`);
});

test("many trials are drawn as one node per stage, few each by itself", () => {
  expect(planMermaid(sweep(10_000))).toBe(`\
flowchart LR
  s0["pretrain<br>reuse: finished, verified"]:::reuse
  s1["sft (10,000 trials)<br>run 9,999, reuse 1"]:::run
  s2["eval (10,000 trials)<br>run 10,000"]:::run
  s0 --> s1
  s1 --> s2
  classDef reuse fill:#e8eaee,stroke:#8a8f98,color:#1b1d21
  classDef run fill:#d7f0e0,stroke:#17693f,color:#1b1d21
`);
  expect(planDot(sweep(3)).match(/"sft\.t\d" \[/g)).toHaveLength(3);
});

test("hostile text is shown and breaks nothing", () => {
  const reason = 'a "b" \\ <script>&#35;`\n\u001b[31mred\u202e';
  const hostile = plan([stage("s", [], { reason })], { name: 'x"]\\' });
  expect(planDot(hostile)).toBe(`\
digraph "x\\"]\\\\" {
  rankdir=LR;
  node [shape=box, style="rounded,filled", fontname="Helvetica"];
  "s" [label="s\\nrun: a \\"b\\" \\\\ <script>&#35;\` red", fillcolor="#d7f0e0"];
}
`);
  expect(planMermaid(hostile).split("\n")[1]).toBe(
    '  s0["s<br>run: a #34;b#34; #92; #60;script#62;#38;#35;35;#96; red"]:::run',
  );
  expect(planTree(hostile, { colors: plain })).toEqual([
    'x"]\\ (recipes/chat.yaml)',
    "",
    's  run     a "b" \\ <script>&#35;` red',
    "",
    "1 of 1 stages to run, 0 reused",
  ]);
});

test("a stage without estimates says nothing about them; without steps, no number of them", () => {
  const { parameters, tokensPerStep, flopsPerStep, memory } = details["sft"]!.estimate!;
  const open = { parameters, tokensPerStep, flopsPerStep, memory };
  const shown = tree(large, { sft: { words: [], estimate: open } });
  expect(shown).toContain("396 M parameters; steps of up to 393,216 tokens, 1.07 PFLOP each");
  expect(shown).toContain("memory about 67.7 GiB per device, most of it: activations");
  expect(shown).not.toContain("time");
  expect(tree(large, { sft: { words: [] } })).not.toContain("memory");
});
