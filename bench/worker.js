/** @file A child process that measures on request: ours.js or torch_peer.py. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/**
 * Starts a side; `ask` returns its answer to a request, `end` its last line.
 * @param variables of its environment, beside our own
 */
export function startWorker(command, args, variables) {
  const env = { ...process.env, ...variables };
  // Pins of OpenBLAS to an old processor, where a machine has them, would slow the peer.
  delete env.OPENBLAS_CORETYPE;
  delete env.OPENBLAS_L2_SIZE;
  const child = spawn(command, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "close").then(([code]) => code);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ${args[0]} ended with ${await exited}`);
    return JSON.parse(value);
  };
  return {
    async ask(repetitions) {
      child.stdin.write(`${repetitions}\n`);
      return answer();
    },
    async end() {
      child.stdin.end();
      const last = await answer();
      await exited;
      return last;
    },
  };
}
