/**
 * @file `npm run bench:steady [-- --steps 1000]`: how long the graphs of ModernBERT-base and -large take
 * to compile, and whether the memory of a training stays the same over many steps of several lengths.
 * Ends with 1 when it grows by more than a twentieth after the warm-up.
 */
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { initialiseParameters, layOut } from "../dist/model/parameters.js";
import { modelFamilies } from "../dist/model/registry.js";
import { createTrainingStep } from "../dist/train/training-step.js";
import { batchMaker } from "./batches.js";
import { works } from "./configs.js";

const { values: options } = parseArgs({ options: { steps: { type: "string", default: "1000" } } });
const steps = Number(options.steps);
const THREADS = 2;
const MOST_GROWTH = 1.05;

/** @param windowBlocksFrom tokens from which on rows are long; the family's where absent */
function trainingStep(model, windowBlocksFrom) {
  const family = { ...modelFamilies.modernbert };
  if (windowBlocksFrom !== undefined) family.windowBlocksFrom = () => windowBlocksFrom;
  const config = family.parseConfig({ model_type: "modernbert", ...model });
  const layout = layOut(family.parameters(config));
  const parameters = initialiseParameters(layout, 42);
  // Written to, so that its memory is there before anything is timed.
  const gradient = new Float32Array(layout.size).fill(1);
  return createTrainingStep({
    architecture: { family, config },
    parameters,
    gradient,
    threads: THREADS,
  });
}

async function secondsOf(action) {
  const start = performance.now();
  await action();
  return (performance.now() - start) / 1000;
}

async function showCompilation(name, rows, windowBlocksFrom) {
  const { model } = works[name];
  const batchOf = (seq) => batchMaker({ model, batch: 1, seq })(0);
  const step = trainingStep(model, windowBlocksFrom);
  const run = (seq) => secondsOf(() => step.differentiate(batchOf(seq)));
  const [first, again, longer] = [await run(16), await run(16), await run(32)];
  await step.dispose();
  const compiled = (first - again).toFixed(1);
  console.log(
    `${name}: ${model.num_hidden_layers} layers compile in ${compiled} s, gradients included, once ` +
      `for all ${rows} rows (a step of 16 tokens takes ${again.toFixed(2)} s, the first of 32 ` +
      `${longer.toFixed(2)} s)`,
  );
}

/** Resident memory in MB. */
function residentMb() {
  return Math.round(
    Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024,
  );
}

async function showMemory() {
  const { model } = works["train-quick"];
  const makers = [16, 64, 40].map((seq) => batchMaker({ model, batch: 32, seq }));
  const step = trainingStep(model);
  const samples = [];
  const every = Math.max(1, Math.floor(steps / 10));
  for (let i = 0; i < steps; i++) {
    await step.differentiate(makers[i % makers.length](i));
    if ((i + 1) % every === 0) samples.push(residentMb());
  }
  await step.dispose();
  console.log(`train-quick, resident MB at every ${every} steps: ${samples.join(" ")}`);
  return samples.at(-1) <= MOST_GROWTH * samples[0];
}

for (const name of ["train-base", "train-large"]) {
  await showCompilation(name, "short", Infinity);
  await showCompilation(name, "long", 1);
}
if (!(await showMemory())) {
  console.error("the memory grows");
  process.exitCode = 1;
}
