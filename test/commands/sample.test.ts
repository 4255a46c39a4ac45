/** @file `dllm sample` and `dllm chat` from the command line on a tiny random model. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import type { CommandIo } from "../../src/commands/command.js";
import { resolveModel } from "../../src/commands/resolve-model.js";
import { loadTokenizer } from "../../src/data/tokenizer.js";
import { writeModelDirectory } from "../support/model-directory.js";

let root: string;
let model: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "dllm-sample-"));
  model = join(root, "model");
  await writeModelDirectory(model);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function dllm(args: readonly string[], { isTty = false, input = "" } = {}) {
  let stdout = "";
  let stderr = "";
  const stdin = new PassThrough();
  stdin.end(input);
  const io: CommandIo = {
    out: (line) => (stdout += `${line}\n`),
    err: (line) => (stderr += `${line}\n`),
    write: (text) => (stdout += text),
    input: stdin as unknown as NodeJS.ReadStream,
    isTty,
    columns: 60,
  };
  const exitCode = await runCli(args, io);
  return { exitCode, stdout, stderr };
}

interface Line {
  prompt: string;
  text: string;
  token_ids: number[];
  frames?: number[][];
}
const linesOf = (stdout: string): Line[] =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

const short = ["--max-new-tokens", "6", "--steps", "3", "--block-size", "6"];

describe("dllm sample", () => {
  test("prints a line of JSON per prompt, with every frame", async () => {
    const args = ["sample", model, "--prompt", "one", "--prompt", "two", ...short];
    const { exitCode, stdout, stderr } = await dllm([...args, "--json", "--frames"]);
    expect([exitCode, stderr]).toEqual([0, ""]);
    const lines = linesOf(stdout);
    expect(lines.map(({ prompt }) => prompt)).toEqual(["one", "two"]);
    const tokenizer = await loadTokenizer(model);
    for (const { token_ids: ids, frames, text } of lines) {
      expect(ids.length).toBe(6);
      expect(frames!.length).toBe(4);
      const masks = frames!.map((frame) => frame.filter((id) => id === tokenizer.maskId).length);
      expect(masks).toEqual([6, 4, 2, 0]);
      expect(frames!.at(-1)).toEqual(ids);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toContain(text);
    }
    const again = await dllm([...args, "--json"]);
    expect(linesOf(again.stdout)[0]).toEqual({ ...lines[0], frames: undefined });
  });

  test("seed and settings reach the sampler", async () => {
    const sampled = async (...args: string[]): Promise<string> => {
      const { stdout, stderr } = await dllm(["sample", model, "--prompt", "x", "--json", ...args]);
      expect(stderr).toBe("");
      return linesOf(stdout)[0]!.token_ids.join();
    };
    const hot = [...short, "--temperature", "2"];
    const base = await sampled(...hot, "--seed", "1");
    expect(await sampled(...hot, "--seed", "1")).toBe(base);
    expect(await sampled(...hot, "--seed", "2")).not.toBe(base);
    expect(await sampled(...short)).not.toBe(base);
    for (const change of [
      ["--no-chat-template"],
      ["--cfg-scale", "3"],
      ["--remasking", "random"],
      ["--block-size", "2"],
      ["--steps", "1"],
    ]) {
      expect(await sampled(...hot, "--seed", "1", ...change), change.join(" ")).not.toBe(base);
    }
  });

  test("prints readable text, and frames on a terminal", async () => {
    const args = ["sample", model, "--prompt", "one", ...short];
    const json = linesOf((await dllm([...args, "--json"])).stdout)[0]!;
    expect(json.text).not.toBe("");
    const plain = await dllm([...args, "--visualize"]);
    expect(plain.stdout).not.toContain("\u001b[J");
    const watched = await dllm([...args, "--visualize"], { isTty: true });
    expect(watched.stdout.split("\u001b[J").length - 1).toBe(5);
    expect(watched.stdout).toContain("step 1, 4 masked");
  });

  test("says what is wrong", async () => {
    const missing = await dllm(["sample", "nothing", "--prompt", "x", "--runs", join(root, "no")]);
    expect(missing.exitCode).toBe(66);
    expect(missing.stderr).toBe(
      'error: no model or run "nothing"\n' +
        "  expected a directory with config.json and model.safetensors, or a run\n" +
        `  there are no runs in ${join(root, "no")}\n`,
    );
    const long = await dllm(["sample", model, "--prompt", "x".repeat(9000)]);
    expect(long.exitCode).toBe(65);
    expect(long.stderr).toContain("the model is meant for 8192");
  });
});

test("dllm chat answers lines without a terminal", async () => {
  const { exitCode, stdout } = await dllm(["chat", model, ...short], { input: "a\n/exit\n" });
  expect(exitCode).toBe(0);
  expect(stdout).not.toBe("");
  expect(stdout).not.toContain("\u001b");
});

const sampleDefaults = {
  block_size: 6,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 3,
};

describe("resolveModel", () => {
  /** A run of stages by kind; each named stage is finished under its fingerprint. */
  async function writeRun(name: string, finished: Readonly<Record<string, string>>) {
    const run = join(root, "runs", name);
    await mkdir(join(run, "stages"), { recursive: true });
    const stages = ["pretrain", "sft", "export"].map((kind) => ({
      id: kind,
      kind,
      fingerprint: `${kind}-now`,
    }));
    await writeFile(
      join(run, "plan.json"),
      JSON.stringify({ schema: 1, name, recipe: "recipes/x.yaml", stages }),
    );
    await writeFile(
      join(run, "recipe.resolved.json"),
      JSON.stringify({ eval: { sampler: { max_new_tokens: 5, steps: 2 } } }),
    );
    for (const [id, fingerprint] of Object.entries(finished)) {
      const working = join(root, "runs", ".store", "stages", `${name}-${fingerprint}`);
      await mkdir(join(working, "output"), { recursive: true });
      await writeFile(join(working, "output", "config.json"), "{}");
      const result = {
        ...{ schema: 1, id, kind: id, fingerprint, attempt: 1, reason: "ok" },
        ...{ startedAt: "", finishedAt: "", durationSeconds: 1, totalSeconds: 1 },
        ...{ peakRssBytes: 1, metrics: {}, artifact: "0" },
      };
      await writeFile(join(working, "result.json"), JSON.stringify(result));
      await symlink(working, join(run, "stages", id));
    }
    return run;
  }

  test("a run's newest finished model, with the settings of its evaluation", async () => {
    const run = await writeRun("chat", { pretrain: "pretrain-now", sft: "sft-now" });
    const resolved = resolveModel("chat", join(root, "runs"));
    expect(resolved).toEqual({
      directory: join(run, "stages", "sft", "output"),
      title: "chat (sft)",
      sampler: { max_new_tokens: 5, steps: 2 },
    });
    expect(existsSync(join(resolved.directory, "config.json"))).toBe(true);
    expect(resolveModel(run, "elsewhere").directory).toBe(resolved.directory);
  });

  test("the attention mask of the evaluation reaches the sampler", async () => {
    /** The same model as a finished run whose evaluation has these settings. */
    const sampled = async (attention_mask: string): Promise<number[]> => {
      const sampler = { ...sampleDefaults, max_new_tokens: 6, steps: 3, attention_mask };
      const run = await writeRun(attention_mask, { sft: "sft-now" });
      await writeModelDirectory(join(run, "stages", "sft", "output"));
      await writeFile(join(run, "recipe.resolved.json"), JSON.stringify({ eval: { sampler } }));
      const prompt = ["--prompt", "x[PAD][PAD]y", "--temperature", "1"];
      const { stdout, stderr } = await dllm(["sample", run, ...prompt, "--json"]);
      expect(stderr).toBe("");
      return linesOf(stdout)[0]!.token_ids;
    };
    // Guidance keeps the prompt's [PAD], this tokenizer's eos, with one of the two only.
    expect(await sampled("not_eos")).not.toEqual(await sampled("row"));
  });

  test("an artifact of an earlier version of the recipe does not count", async () => {
    await writeRun("changed", { pretrain: "pretrain-now", sft: "sft-before" });
    expect(resolveModel("changed", join(root, "runs")).title).toBe("changed (pretrain)");
    const empty = await writeRun("empty", {});
    expect(await readFile(join(empty, "plan.json"), "utf8")).toContain("sft-now");
    expect(() => resolveModel("empty", join(root, "runs"))).toThrow(
      "run empty has no finished model",
    );
  });
});
