/** @file The rules of supervision by themselves: retries, environment, secrets, memory, disk, time. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { startActiveTimer } from "../../src/base/active-time.js";
import { capLog, readEnd } from "../../src/base/log-cap.js";
import { createRedactor } from "../../src/base/redact.js";
import { childEnvironment } from "../../src/run/child-environment.js";
import { checkDisk } from "../../src/run/disk-check.js";
import { oomKills, saysOutOfMemory } from "../../src/run/memory-watch.js";
import { createRetries } from "../../src/run/retry.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

describe("retries", () => {
  const policy = { retries: 2, baseMs: 100, random: () => 0.5 };

  test("pauses double with jitter, and end", () => {
    const retries = createRetries({ ...policy, retries: 9 });
    const delays = Array.from({ length: 10 }, () => retries.next("killed", null)?.delayMs);
    expect(delays.slice(0, 4)).toEqual([50, 100, 200, 400]);
    expect(delays[9]).toBeUndefined();
    const capped = createRetries({ ...policy, retries: 99, baseMs: 1000 });
    for (let i = 0; i < 50; i++) capped.next("killed", null);
    expect(capped.next("killed", null)).toMatchObject({ delayMs: 30_000 });
  });

  test("a later checkpoint begins the count anew, an equal or older one does not", () => {
    const retries = createRetries(policy);
    const left = (step: number | null) => retries.next("network", step)?.left;
    expect([left(null), left(5), left(5), left(5)]).toEqual([1, 1, 0, undefined]);
    expect([left(6), left(3), left(3)]).toEqual([1, 0, undefined]);
  });

  test.each([
    "invalid_data",
    "diverged",
    "oom",
    "code_error",
    "incomplete_output",
    "stalled",
  ] as const)("never after %s", (reason) =>
    expect(createRetries(policy).next(reason, 1)).toBeUndefined(),
  );
});

test("secrets reach only the stages that need them, whatever their name", () => {
  const environment = {
    ...{ PATH: "/bin", HOME: "/h", HF_HOME: "/hf", HF_TOKEN: "t", WANDB_API_KEY: "k" },
    ...{ AWS_SECRET_ACCESS_KEY: "s", DLLM_HUB_PASSWORD: "p", RANDOM_SETTING: "r", LC_CTYPE: "C" },
  };
  const of = (kind: "sft" | "prepare") =>
    Object.keys(childEnvironment(environment, { kind, own: { CUDA_VISIBLE_DEVICES: "1" } }));
  expect(of("sft")).toEqual(["PATH", "HOME", "HF_HOME", "LC_CTYPE", "CUDA_VISIBLE_DEVICES"]);
  expect(of("prepare")).toContain("HF_TOKEN");
});

test("secret values are redacted as they are, encoded, and in URLs", () => {
  const secret = 'hf_abc/+def"9';
  const redact = createRedactor({ HF_TOKEN: secret, SHORT_TOKEN: "abc", HOME: "/home/hf" });
  expect(redact(`a ${secret} b`)).toBe("a [secret] b");
  expect(redact(`?token=${encodeURIComponent(secret)}`)).toBe("?token=[secret]");
  expect(redact(Buffer.from(secret).toString("base64"))).toBe("[secret]");
  expect(redact(JSON.stringify({ secret }))).toBe('{"secret":"[secret]"}');
  expect(redact("https://me:pw@host/x and a@b.c abc /home/hf")).toBe(
    "https://[secret]@host/x and a@b.c abc /home/hf",
  );
});

test.each([
  ["0::/user.slice/job\n", "user.slice/job/memory.events", "low 0\noom 4\noom_kill 3\n", 3],
  // A container sees its own group at the mount.
  ["0::/host/path\n", "memory.events", "oom_kill 2\n", 2],
  [
    "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n",
    "memory/a/b/memory.oom_control",
    "oom_kill_disable 0\noom_kill 7\n",
    7,
  ],
  ["4:memory:/elsewhere\n", "memory/memory.oom_control", "under_oom 0\noom_kill 1\n", 1],
  ["4:cpu:/\n", "memory.events", "oom_kill 1\n", undefined],
])("kills for lack of memory: group %j, file %s", async (groups, file, text, expected) => {
  await inTemporaryDirectory((root) => {
    const [proc, cgroup] = [join(root, "proc"), join(root, "cgroup")];
    mkdirSync(join(proc, "self"), { recursive: true });
    writeFileSync(join(proc, "self", "cgroup"), groups);
    mkdirSync(dirname(join(cgroup, file)), { recursive: true });
    writeFileSync(join(cgroup, file), text);
    expect(oomKills({ proc, cgroup })).toBe(expected);
    return Promise.resolve();
  });
});

test.each([
  ["FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", true],
  ["std::bad_alloc", true],
  ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", true],
  ["Failed to allocate memory for requested buffer of size 8589934592", true],
  ["memory of the last epoch is kept", false],
  ["loss is NaN", false],
])("last words %j", (text, expected) => expect(saysOutOfMemory(text)).toBe(expected));

describe("disk", () => {
  const need = {
    stages: new Map([
      ["sft", 600],
      ["export", 400],
    ]),
  };
  const check = (free: number | undefined, force = false) =>
    checkDisk({ directory: "/runs", need, force, freeBytes: () => Promise.resolve(free) });

  test("enough or unknown is silent, little is a warning", async () => {
    expect(await check(1500)).toBeUndefined();
    expect(await check(undefined)).toBeUndefined();
    expect(await check(1499)).toBe(
      "warning: /runs has 1.5 KiB (1499 bytes) free, and the run needs about 1000 B (1000 bytes)\n" +
        "  largest: stage sft with about 600 B (600 bytes) of checkpoints and output\n" +
        "  free some space, choose another --runs directory, or lower save_total_limit",
    );
  });

  test("too little is refused, unless forced", async () => {
    await expect(check(999)).rejects.toMatchObject({ exitCode: 74 });
    expect(await check(999, true)).toMatch(/^warning: /);
  });
});

describe("time in which this process could run", () => {
  afterEach(() => vi.useRealTimers());

  test("a pause of an hour counts as one tick, and uncounted time not at all", () => {
    vi.useFakeTimers();
    let now = 0;
    let isCounting = true;
    const calls: number[] = [];
    const advance = (ms: number) => {
      now += ms;
      vi.advanceTimersByTime(ms);
    };
    const timer = startActiveTimer(1000, () => calls.push(now), {
      now: () => now,
      isCounting: () => isCounting,
    });
    // Ticks of 50 ms; then nothing runs for an hour.
    for (let i = 0; i < 10; i++) advance(50);
    now += 3_600_000;
    advance(50);
    expect(timer.elapsedMs()).toBe(550);
    isCounting = false;
    for (let i = 0; i < 100; i++) advance(50);
    expect(timer.elapsedMs()).toBe(550);
    isCounting = true;
    for (let i = 0; i < 8; i++) advance(50);
    expect(calls).toEqual([]);
    advance(50);
    expect(calls).toHaveLength(1);
    timer.restart();
    for (let i = 0; i < 40; i++) advance(50);
    expect(calls).toHaveLength(2);
  });
});

test("a log that has grown too large keeps its end beside it, and says so", async () => {
  await inTemporaryDirectory((directory) => {
    const log = join(directory, "out.log");
    writeFileSync(log, `${"a".repeat(900)}${"z".repeat(200)}`);
    expect(capLog(log, { limit: 2000, kept: 100 })).toBe(0);
    expect(capLog(log, { limit: 1000, kept: 100 })).toBe(1000);
    expect(readEnd(`${log}.1`, 1000)).toBe("z".repeat(100));
    expect(readEnd(log, 1000)).toBe(
      `[dllm] 1000 bytes of output were dropped; ${log}.1 has the last 100\n`,
    );
    expect(readEnd(log, 4)).toBe("100\n");
    expect(capLog(join(directory, "absent"), { limit: 1 })).toBe(0);
    return Promise.resolve();
  });
});
