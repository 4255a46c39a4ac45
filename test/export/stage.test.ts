/** @file The export stage on a tiny random model: files, card, and what it refuses to publish. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { publishDirectory, sha256 } from "../../src/base/fs.js";
import { modelCard } from "../../src/export/model-card.js";
import { exportOnnx } from "../../src/export/onnx.js";
import { writeHfLayout } from "../../src/export/hf-layout.js";
import { verifyExport } from "../../src/export/verify.js";
import type { ExportParams } from "../../src/plan/params.js";
import type { Progress } from "../../src/plan/stage.js";
import { run } from "../../src/stages/export.js";
import { stageContext } from "../support/stage-context.js";
import { writeModelDirectory } from "../support/model-directory.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

const recipe = {
  name: "tiny",
  description: "A test of | pipes and <b>tags</b>",
  sft: { dataset_args: "chat[train:10]", learning_rate: 0.001 },
  eval: { sampler: { max_new_tokens: 24 } },
};
const results = [
  {
    task: "heldout_likelihood",
    metric: "ppl",
    value: 3.14159,
    stderr: 0.012,
    n: 40,
    protocol: "mc_num 4",
  },
  {
    task: "exact_match:copy",
    metric: "exact_match",
    value: 0.975,
    n: 40,
    protocol: "steps 8, a|b",
  },
];

/** Publishes a tiny model and an evaluation of it, and gives a context to export them. */
async function exportContext(root: string, formats: ExportParams["export"]["formats"]) {
  const model = join(root, "model");
  await publishDirectory({ target: model }, (directory) => writeModelDirectory(directory));
  const evaluation = join(root, "eval");
  await publishDirectory({ target: evaluation }, async (directory) =>
    writeFileSync(join(directory, "results.json"), JSON.stringify(results)),
  );
  const inputs: Record<string, string> = { model, eval: evaluation, "eval-pretrain": evaluation };
  const outputDirectory = join(root, "out");
  const progress: Progress[] = [];
  const params: ExportParams = { export: { formats }, recipe };
  const context = stageContext(
    { kind: "export", params, inputs },
    { outputDirectory, progress: (one) => progress.push(one) },
  );
  return { context, outputDirectory, progress };
}

describe("the stage", () => {
  test("writes a directory that predicts what the model predicts", () =>
    inTemporaryDirectory(async (root) => {
      const { context, outputDirectory, progress } = await exportContext(root, [
        "safetensors",
        "onnx",
      ]);
      const figures = await run(context);
      expect(readdirSync(outputDirectory).sort()).toEqual([
        "README.md",
        "config.json",
        "model.onnx",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ]);
      expect(figures["onnx_max_difference"]).toBeLessThan(1e-3);
      expect(figures["model.safetensors_bytes"]).toBe(
        readFileSync(join(outputDirectory, "model.safetensors")).byteLength,
      );
      expect(progress.at(-1)).toMatchObject({ done: 4, total: 4 });
      const card = readFileSync(join(outputDirectory, "README.md"), "utf8");
      expect(card).toContain("f".repeat(64));
      expect(card).toContain(sha256(readFileSync(join(outputDirectory, "model.safetensors"))));
      expect(card).toContain(sha256(readFileSync(join(root, "model", "MANIFEST.json"))));
      expect(card).toContain("### This model");
      expect(card).toContain("### For comparison: after pretrain");
    }));

  test("equal jobs give equal bytes", () =>
    inTemporaryDirectory(async (root) => {
      const bytes: string[] = [];
      for (const place of ["a", "b"]) {
        mkdirSync(join(root, place));
        const { context, outputDirectory } = await exportContext(join(root, place), [
          "safetensors",
          "onnx",
        ]);
        await run(context);
        bytes.push(
          readdirSync(outputDirectory)
            .sort()
            .map((name) => sha256(readFileSync(join(outputDirectory, name))))
            .join(),
        );
      }
      expect(bytes[0]).toBe(bytes[1]);
    }));

  test("writes only the formats that are asked for", () =>
    inTemporaryDirectory(async (root) => {
      const { context, outputDirectory } = await exportContext(root, ["onnx"]);
      const figures = await run(context);
      expect(readdirSync(outputDirectory)).not.toContain("model.safetensors");
      expect(readdirSync(outputDirectory)).toContain("model.onnx");
      expect(figures).not.toHaveProperty("model.safetensors_bytes");
      const card = readFileSync(join(outputDirectory, "README.md"), "utf8");
      expect(card).not.toContain("from transformers");
    }));
});

describe("verification", () => {
  async function exported(root: string) {
    const modelDirectory = join(root, "model");
    await writeModelDirectory(modelDirectory);
    const directory = join(root, "out");
    mkdirSync(directory);
    const layout = await writeHfLayout({ modelDirectory, directory, withWeights: true });
    await exportOnnx({ modelDirectory, file: join(directory, "model.onnx") });
    const { architecture, parameters } = layout;
    return (formats: ("safetensors" | "onnx")[]) =>
      verifyExport({ directory, architecture, parameters, formats, threads: 1 });
  }
  /** Changes bytes of an exported file. */
  function damage(file: string, change: (bytes: Buffer) => Buffer) {
    writeFileSync(file, change(readFileSync(file)));
  }

  test("one changed bit of a weight is found", () =>
    inTemporaryDirectory(async (root) => {
      const verify = await exported(root);
      const file = join(root, "out", "model.safetensors");
      damage(file, (bytes) => {
        bytes[bytes.length - 5]! ^= 1;
        return bytes;
      });
      await expect(verify(["safetensors"])).rejects.toMatchObject({
        exitCode: 3,
        message: `${file}: other weights than the model's`,
      });
    }));

  test("a lost field of config.json is found in the predictions", () =>
    inTemporaryDirectory(async (root) => {
      const verify = await exported(root);
      damage(join(root, "out", "config.json"), (bytes) =>
        Buffer.from(bytes.toString().replace('"local_attention": 8,', "")),
      );
      await expect(verify(["safetensors"])).rejects.toMatchObject({
        exitCode: 3,
        message: `${join(root, "out")}: predicts other logits than the model`,
      });
    }));

  test("an ONNX file of another model is found", () =>
    inTemporaryDirectory(async (root) => {
      const verify = await exported(root);
      await writeModelDirectory(join(root, "other"), 2);
      const file = join(root, "out", "model.onnx");
      await exportOnnx({ modelDirectory: join(root, "other"), file });
      await expect(verify(["onnx"])).rejects.toMatchObject({
        exitCode: 3,
        message: expect.stringMatching(
          /model\.onnx: logits differ from the model's by up to/,
        ) as unknown,
      });
    }));
});

describe("the model card", () => {
  const facts = {
    recipe,
    config: { model_type: "modernbert" },
    parameters: 1234567,
    evaluations: [{ title: "This model", results }],
    fingerprints: [["fingerprint of the export", "abc"]] as const,
    formats: ["safetensors", "onnx"] as const,
  };

  test("has front matter that the hub reads, and no license", () => {
    const front = /^---\n([\s\S]*?)\n---\n/.exec(modelCard(facts))![1]!;
    expect(parse(front)).toEqual({
      library_name: "transformers",
      pipeline_tag: "fill-mask",
      tags: ["dllm", "masked-diffusion", "diffusion-language-model", "modernbert"],
    });
  });

  test("contains the recipe, which reads back, and the figures with their protocol", () => {
    const card = modelCard(facts);
    const yaml = /```yaml\n([\s\S]*?)\n```/.exec(card)![1]!;
    expect(parse(yaml)).toEqual(recipe);
    expect(card).toContain("| heldout\\_likelihood | ppl | 3.142 ± 0.012 | 40 | mc\\_num 4 |");
    expect(card).toContain("| exact\\_match:copy | exact\\_match | 0.975 | 40 | steps 8, a\\|b |");
    expect(card).toContain("1,234,567 parameters");
    expect(card).toContain("new_tokens = 24");
    expect(card).toContain("| sft | `chat[train:10]` |");
  });

  test("text of a recipe cannot leave its place", () => {
    const hostile = {
      ...recipe,
      name: "x](javascript:alert(1)) <img src=x onerror=alert(1)>",
      description: "```\n# not a heading\n<script>alert(1)</script>",
    };
    const card = modelCard({ ...facts, recipe: hostile });
    const outsideOfCode = card.replace(/^(`{3,})\w*\n[\s\S]*?\n\1$/gm, "");
    expect(outsideOfCode).not.toMatch(/[^\\]<(img|script)/);
    expect(outsideOfCode).not.toMatch(/[^\\]\]\(javascript/);
    expect(outsideOfCode).not.toMatch(/^# not a heading/m);
    // The fence of the recipe is longer than the backticks in it.
    expect(card).toContain("````yaml\n");
  });
});
