/**
 * @file One side of a measurement, ours, in a process of its own so that its peak memory is its own.
 * argv[2] is JSON {work, mode, threads, files}. Protocol, the same as torch/peer.py's: a line on stdin
 * asks for so many repetitions, the answer is one JSON line; when stdin ends, a last line tells the
 * peak memory.
 */
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";

const { work, mode, threads, files } = JSON.parse(process.argv[2]);
const { prepare } = await import(`./work-${work.kind}.js`);
const repeat = prepare(work, { mode, threads, files });

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** Peak resident memory; on Linux from the kernel, as getrusage counts the parent's before exec. */
function peakRssBytes() {
  try {
    return 1024 * Number(/^VmHWM:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}

let first = true;
for await (const line of createInterface({ input: process.stdin })) {
  const runs = [];
  for (let i = 0; i < Number(line); i++) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const facts = await repeat();
    const ms = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    runs.push({ ms, cpuMs: (user + system) / 1000, ...facts });
  }
  // From the start of the process to the end of its first repetition.
  print({ runs, ...(first && { startupMs: performance.now() }) });
  first = false;
}
print({ peakRssBytes: peakRssBytes() });
