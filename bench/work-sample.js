/** @file Our side of sampling: the first denoising steps of one prompt, as `dllm sample` takes them. */
import { loadMaskedLm } from "../dist/model/masked-lm.js";
import { sample } from "../dist/sample/sampler.js";

const settings = { temperature: 0, cfg_scale: 0, remasking: "low_confidence" };

/** Returns one repetition; its time is that of a step, the median of the repetition. */
export function prepare({ ids, prompt, newTokens, blockSize, steps }, { mode, threads, files }) {
  const loading = loadMaskedLm(files.model, { threads, precision: mode });
  const sizes = { max_new_tokens: newTokens, block_size: blockSize, steps: newTokens };
  return async () => {
    const model = await loading;
    const times = [];
    const enough = new AbortController();
    let tokens;
    let last = clocks();
    const onFrame = ({ step, canvas }) => {
      if (step > 0) times.push(since(last));
      tokens = [...canvas];
      if (step === steps) enough.abort(enough);
      last = clocks();
    };
    const all = { ...settings, stochastic_transfer: false, ...sizes };
    await sample(model, ids, [prompt], all, { onFrame, signal: enough.signal }).catch((error) => {
      if (error !== enough) throw error;
    });
    const median = (key) => times.map((time) => time[key]).sort((a, b) => a - b)[times.length >> 1];
    return { ms: median("ms"), cpuMs: median("cpuMs"), tokens };
  };
}

function clocks() {
  const { user, system } = process.cpuUsage();
  return { ms: performance.now(), cpuMs: (user + system) / 1000 };
}

function since(start) {
  const now = clocks();
  return { ms: now.ms - start.ms, cpuMs: now.cpuMs - start.cpuMs };
}
