/** @file Runs test files of the ordinary suite in a process of their own. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";

export interface TestRun {
  code: number | null;
  output: string;
}

/** @param environment added to this process's own, without what belongs to its test runner */
export function runTests(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<TestRun> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(VITEST|TEST|NODE_OPTIONS)/.test(name),
  );
  const marker = `DLLM_TEST_RUN=${randomUUID()}`;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...args], {
      env: {
        ...Object.fromEntries(inherited),
        NO_COLOR: "1",
        ...environment,
        DLLM_TEST_RUN: marker.slice(marker.indexOf("=") + 1),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => (output += data.toString()));
    }
    child.once("exit", (code) => {
      endProcesses(marker);
      resolve({ code, output });
    });
  });
}

/** Ends what a test left running that failed half-way: it has inherited the marker. */
function endProcesses(marker: string): void {
  if (process.platform !== "linux") return;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
      if (environment.includes(marker)) process.kill(Number(pid), "SIGKILL");
    } catch {
      // Ended meanwhile, or another user's.
    }
  }
}
