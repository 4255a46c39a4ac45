/**
 * @file Sampling and likelihood against the reference on PyTorch, the two in turn.
 *
 *   node bench/inference/run.mjs [--against PYTHON] [--only NAME] [--rounds N] [--threads N]
 *
 * Prints one JSON line per case: ms (a step of the sampler, or all of a question) by the clock and of
 * the processor, medians over rounds; the latter with one thread are figures also where other
 * programs compute, as waiting threads spin. With a Python that has torch and transformers the ratio of each round's pair. Weights
 * are random, drawn here and written to a temporary directory for both sides.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { seededLikelihoodNoise } from "../../dist/evaluate/likelihood-noise.js";
import { monteCarloLikelihoods } from "../../dist/evaluate/monte-carlo-likelihood.js";
import { loadMaskedLm } from "../../dist/model/masked-lm.js";
import { writeModel } from "../../dist/model/model-directory.js";
import { initialiseParameters, layOut } from "../../dist/model/parameters.js";
import { parseArchitecture } from "../../dist/model/registry.js";
import { sample } from "../../dist/sample/sampler.js";

const { values: flags } = parseArgs({
  options: {
    against: { type: "string" },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
  },
});

const shapes = {
  tiny: [6, 256, 4, 384, 8192],
  base: [22, 768, 12, 1152, 50368],
};
const prompt = Array.from({ length: 64 }, (_, i) => (i * 7919 + 11) % 8000);
const prefix = Array.from({ length: 100 }, (_, i) => (i * 7919 + 11) % 8000);
const oneToken = [10, 20, 30, 40].map((id) => ({ prefix, target: [id, 2] }));
const tenTokens = [{ prefix, target: Array.from({ length: 10 }, (_, i) => 100 + i * 13) }];

const cases = [
  { name: "sample tiny", model: "tiny", steps: 64 },
  { name: "sample base", model: "base", steps: 8 },
  { name: "sample tiny int8 / bf16", model: "tiny", steps: 64, precision: "int8" },
  { name: "sample base int8 / bf16", model: "base", steps: 8, precision: "int8" },
  { name: "likelihood one-token base", model: "base", requests: oneToken },
  { name: "likelihood ten-token base", model: "base", requests: tenTokens },
  {
    name: "likelihood ten-token base int8 / bf16",
    model: "base",
    requests: tenTokens,
    precision: "int8",
  },
];

function startPeer(python) {
  const child = spawn(python, [new URL("peer.py", import.meta.url).pathname, flags.threads], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: flags.threads },
  });
  const waiting = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()(JSON.parse(line)));
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        waiting.push(resolve);
        child.once("exit", (code) => reject(new Error(`the peer ended with exit code ${code}`)));
        child.stdin.write(JSON.stringify(request) + "\n");
      }),
    stop: () => child.stdin.end(),
  };
}

const quantile = (values, q) =>
  [...values].sort((a, b) => a - b)[Math.round(q * (values.length - 1))];
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};
const median = (values) => quantile(values, 0.5);

async function writeWeights(directory, name) {
  const [layers, hidden, heads, intermediate, vocab] = shapes[name];
  const architecture = parseArchitecture({
    ...{ architectures: ["ModernBertForMaskedLM"], model_type: "modernbert" },
    ...{ num_hidden_layers: layers, hidden_size: hidden, num_attention_heads: heads },
    ...{ intermediate_size: intermediate, vocab_size: vocab, max_position_embeddings: 8192 },
    ...{ pad_token_id: 3, bos_token_id: 1, cls_token_id: 1, eos_token_id: 2, sep_token_id: 2 },
  });
  const layout = layOut(architecture.family.parameters(architecture.config));
  // Larger than initialised, so that predictions differ from place to place.
  const parameters = initialiseParameters(layout, 1);
  layout.slots.forEach(({ spec, offset, length }) => {
    if (!spec.name.includes("layers") || spec.shape.length === 1) return;
    for (let i = offset; i < offset + length; i++) parameters[i] *= 4;
  });
  mkdirSync(directory);
  await writeModel(directory, architecture, parameters);
}

const settings = {
  ...{ max_new_tokens: 128, block_size: 32, steps: 128, temperature: 0, cfg_scale: 0 },
  ...{ remasking: "low_confidence", stochastic_transfer: false },
};

/** Our side of a case: ms per step or question, and what was found. */
async function measure(lm, { steps, requests }, ids) {
  if (requests) {
    const started = performance.now();
    const cpu = cpuMs();
    await monteCarloLikelihoods({
      ...{ model: lm, requests, maskId: ids.maskId, padId: ids.eosId, mcNum: 32, strata: 32 },
      ...{ batchSize: 8, noise: seededLikelihoodNoise({ seed: 1 }) },
    });
    return { ms: performance.now() - started, cpuMs: cpuMs() - cpu };
  }
  const times = [];
  const cpuTimes = [];
  const limit = new AbortController();
  let canvas;
  let last = performance.now();
  let lastCpu = cpuMs();
  const onFrame = (frame) => {
    const now = performance.now();
    if (frame.step > 0) {
      times.push(now - last);
      cpuTimes.push(cpuMs() - lastCpu);
    }
    canvas = [...frame.canvas];
    if (frame.step === steps) limit.abort(limit);
    last = performance.now();
    lastCpu = cpuMs();
  };
  await sample(lm, ids, [prompt], settings, { onFrame, signal: limit.signal }).catch((error) => {
    if (error !== limit) throw error;
  });
  return { ms: median(times), cpuMs: median(cpuTimes), canvas };
}

/** The peer's side of the same. */
async function measurePeer(peer, { steps, requests, precision }, dir, ids) {
  const dtype = precision === "int8" ? "bfloat16" : "float32";
  if (requests) {
    const pairs = requests.map(({ prefix, target }) => [prefix, target]);
    return peer.ask({ cmd: "likelihood", dir, dtype, ...ids, batch: 32, mc: 32, requests: pairs });
  }
  const request = { cmd: "sample", dir, dtype, ...ids, prompts: [prompt], new: 128, block: 32 };
  const { times, cpuTimes, sequences, rss } = await peer.ask({
    ...request,
    steps: 128,
    limit: steps,
  });
  return { ms: median(times), cpuMs: median(cpuTimes), canvas: sequences[0], rss };
}

const root = mkdtempSync(join(tmpdir(), "dllm-bench-"));
const peer = flags.against && startPeer(flags.against);
const written = new Set();
for (const given of cases.filter(({ name }) => name.includes(flags.only))) {
  const dir = join(root, given.model);
  if (!written.has(given.model)) await writeWeights(dir, given.model);
  written.add(given.model);
  const vocabSize = shapes[given.model].at(-1);
  const ids = { maskId: vocabSize - 5, eosId: vocabSize - 6 };
  const lm = await loadMaskedLm(dir, {
    threads: Number(flags.threads),
    precision: given.precision ?? "float32",
  });
  const warm = { ...given, ...(given.steps && { steps: 2 }) };
  await measure(lm, warm, ids);
  if (peer && given.steps) await measurePeer(peer, warm, dir, ids);
  const [ours, theirs] = [[], []];
  let same;
  for (let round = 0; round < Number(flags.rounds); round++) {
    const mine = await measure(lm, given, ids);
    ours.push(mine);
    if (!peer) continue;
    const other = await measurePeer(peer, given, dir, ids);
    theirs.push(other);
    if (mine.canvas) same = mine.canvas.filter((id, i) => id === other.canvas[i]).length;
  }
  const round = (value) => Number(value.toPrecision(4));
  const figures = (clock) => {
    const ratios = theirs.map((other, i) => other[clock] / ours[i][clock]);
    return {
      ours: round(median(ours.map((one) => one[clock]))),
      ...(peer && {
        peer: round(median(theirs.map((one) => one[clock]))),
        ratio: round(median(ratios)),
        range: [round(quantile(ratios, 0)), round(quantile(ratios, 1))],
      }),
    };
  };
  console.log(
    JSON.stringify({
      ...{ case: given.name, threads: Number(flags.threads) },
      ...{ ms: figures("ms"), cpuMs: figures("cpuMs") },
      ...(same !== undefined && { sameTokens: `${same}/${prompt.length + 128}` }),
      peakRss: process.resourceUsage().maxRSS * 1024,
      ...(peer && { peerPeakRss: theirs.at(-1).rss }),
    }),
  );
  await lm.dispose();
}
peer?.stop();
rmSync(root, { recursive: true });
