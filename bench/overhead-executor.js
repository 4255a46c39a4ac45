/**
 * An executor of N trivial stages, in a process of its own so that its memory is its own:
 * `node bench/overhead-executor.js <runs> <N>`. Prints one JSON object.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { executePlan } from "../dist/run/executor.js";
import { openStore } from "../dist/run/store.js";

const [runsRoot, count] = [process.argv[2], Number(process.argv[3])];
const stages = Array.from({ length: count }, (_, n) => ({
  id: `stage-${n}`,
  kind: "prepare",
  params: { n },
  inputs: {},
  hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 1 },
  locations: {},
  fingerprint: createHash("sha256").update(`stage ${n}`).digest("hex"),
  action: "run",
  reason: "no artifact yet",
  needs: [],
}));
const codeVersions = { prepare: 1, pretrain: 1, sft: 1, eval: 1, export: 1 };
const plan = { schema: 1, name: "overhead", recipe: "overhead.yaml", codeVersions, stages };

const rss = [];
let ended = 0;
const execute = () =>
  executePlan({
    plan,
    recipe: { name: "overhead" },
    runsRoot,
    store: openStore(runsRoot),
    stageScript: fileURLToPath(new URL("overhead-stage.js", import.meta.url)),
    emit: ({ event }) => {
      if (event !== "stage-finished") return;
      ended++;
      if (ended % Math.max(1, Math.floor(count / 10)) === 0) rss.push(process.memoryUsage().rss);
    },
  });
const timed = async (action) => {
  const started = performance.now();
  const { status, ran, reused } = await action();
  if (status !== "ok") throw new Error(`overhead: the run ended ${status}`);
  return { seconds: (performance.now() - started) / 1000, ran: ran.length, reused: reused.length };
};
const first = await timed(execute);
const second = await timed(execute);
const directory = join(runsRoot, "overhead");
console.log(JSON.stringify({ directory, first, second, rss }));
