/** @file Locks: one holder, freed when it dies; with flock(1) and without. */
import { spawn } from "node:child_process";
import {
  existsSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { acquireLock, lockHolder } from "../../src/base/lock.js";
import { processState, thisProcess } from "../../src/base/process-identity.js";
import { bundle } from "../support/bundle.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

vi.setConfig({ testTimeout: 30_000 });

let holderScript: string;
beforeAll(async () => {
  holderScript = await bundle("test/base/fixtures/lock-holder.ts");
});
afterEach(() => vi.unstubAllEnvs());

/** Starts a process that holds the lock until it is killed. */
async function startHolder(lock: string): Promise<{ pid: number; kill(): Promise<void> }> {
  const child = spawn(process.execPath, [holderScript, lock], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const said = await new Promise<string>((resolve) =>
    child.stdout.once("data", (data: Buffer) => resolve(data.toString())),
  );
  expect(said).toBe("held\n");
  return {
    pid: child.pid!,
    async kill() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

describe.each([
  ["flock(1)", undefined],
  ["the owner file", "/nonexistent"],
])("with %s", (_, path) => {
  const usePath = () => {
    if (path !== undefined) vi.stubEnv("PATH", path);
  };

  test("one holder, named to the others; free after SIGKILL", async () => {
    usePath();
    await inTemporaryDirectory(async (directory) => {
      const lock = join(directory, "run.lock");
      const holder = await startHolder(lock);
      await expect(acquireLock(lock, { what: "runs/x" })).rejects.toMatchObject({
        exitCode: 75,
        message: expect.stringMatching(
          new RegExp(`^runs/x is in use by process ${holder.pid} on \\S+ since \\S+ \\(dllm `),
        ) as string,
      });
      expect(lockHolder(lock)?.pid).toBe(holder.pid);
      await holder.kill();
      expect(lockHolder(lock)).toBeUndefined();
      const mine = await acquireLock(lock, { what: "runs/x" });
      expect(lockHolder(lock)?.pid).toBe(process.pid);
      await mine.release();
      expect(lockHolder(lock)).toBeUndefined();
      expect(statSync(lock).mode & 0o077).toBe(0);
      expect(existsSync(`${lock}.owner`)).toBe(false);
      expect(readdirSync(directory).filter((name) => name.startsWith(".tmp-"))).toEqual([]);
    });
  });

  test("who waits gets it when the holder dies, or gives up when told to", async () => {
    usePath();
    await inTemporaryDirectory(async (directory) => {
      const lock = join(directory, "lock");
      const holder = await startHolder(lock);
      const giveUp = new AbortController();
      const impatient = acquireLock(lock, {
        what: "it",
        onWait: () => giveUp.abort(),
        signal: giveUp.signal,
      });
      await expect(impatient).rejects.toMatchObject({ exitCode: 75 });
      let waitedFor: number | undefined;
      const patient = acquireLock(lock, {
        what: "it",
        onWait: (other) => {
          waitedFor = other?.pid;
          void holder.kill();
        },
      });
      await (await patient).release();
      expect(waitedFor).toBe(holder.pid);
    });
  });
});

describe("the owner file", () => {
  const takeWith = async (change: object): Promise<string> =>
    inTemporaryDirectory(async (directory) => {
      vi.stubEnv("PATH", "/nonexistent");
      const lock = join(directory, "lock");
      writeFileSync(`${lock}.owner`, JSON.stringify({ ...thisProcess(), nonce: "n", ...change }));
      return acquireLock(lock, { what: "it" }).then(
        async (held) => {
          const { nonce } = JSON.parse(readFileSync(`${lock}.owner`, "utf8")) as { nonce: string };
          expect(nonce).not.toBe("n");
          await held.release();
          return "taken";
        },
        (error: { exitCode: number }) => String(error.exitCode),
      );
    });

  test.each([
    ["a live owner", {}, "75"],
    ["a process id that was given away again", { startTime: "1" }, "taken"],
    ["a boot before this one", { bootId: "other" }, "taken"],
    ["another host", { host: "elsewhere", pid: 1, startTime: "1" }, "75"],
  ])("of %s", async (_, change, outcome) => {
    expect(await takeWith(change)).toBe(outcome);
  });
});

test("a flock(1) that cannot be started is no reason for a second kind of lock", async () => {
  await inTemporaryDirectory(async (directory) => {
    const lock = join(directory, "lock");
    writeFileSync(join(directory, "flock"), "", { mode: 0o600 });
    vi.stubEnv("PATH", directory);
    await expect(acquireLock(lock, { what: "it" })).rejects.toMatchObject({
      exitCode: 77,
      message: "flock cannot be started: spawn flock EACCES",
      details: ["you lack the permission to run it"],
    });
    expect(existsSync(`${lock}.owner`)).toBe(false);
  });
});

test("is never taken through a symbolic link", async () => {
  await inTemporaryDirectory(async (directory) => {
    symlinkSync("/dev/null", join(directory, "lock"));
    await expect(acquireLock(join(directory, "lock"), { what: "it" })).rejects.toThrow(/ELOOP/);
  });
});

test("a process is known by its start, not by its number alone", () => {
  const me = thisProcess();
  expect(processState(me)).toBe("alive");
  expect(processState({ ...me, startTime: "1" })).toBe("dead");
  expect(processState({ ...me, host: "elsewhere" })).toBe("unknown");
});
