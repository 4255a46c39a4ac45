/**
 * @file README.md of an exported model: what it is, how it was made, what it can do, how to use
 * it. Names no license: that is the publisher's decision.
 */
import { stringify } from "yaml";
import type { Json, JsonObject } from "../base/json.js";

/** A row of an evaluation's results.json. */
export interface QuotedResult {
  task: string;
  metric: string;
  value: number;
  stderr?: number;
  n?: number;
  protocol?: string;
}

export interface ModelCardFacts {
  /** The resolved recipe. */
  recipe: JsonObject;
  /** config.json of the model. */
  config: JsonObject;
  /** Number of trainable values, tied ones counted once. */
  parameters: number;
  /** Results of the exported model and, to compare, of the models before it. */
  evaluations: readonly { title: string; results: readonly QuotedResult[] }[];
  /** What names the exported bytes and what they were made from. */
  fingerprints: readonly (readonly [name: string, value: string])[];
  formats: readonly ("safetensors" | "onnx")[];
}

/** A text that stays in its table cell and is not read as markup. */
function cell(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/[\\`*_{}[\]<>|~#]/g, (character) => `\\${character}`)
    .trim();
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** A code block whose fence is longer than any run of backticks in it. */
function codeBlock(language: string, code: string): string {
  const longest = Math.max(0, ...(code.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = "`".repeat(Math.max(3, longest + 1));
  return `${fence}${language}\n${code.trimEnd()}\n${fence}`;
}

const code = (text: string): string => `\`${text.replace(/[`|\s]+/g, " ")}\``;

const round = (value: number): string => String(Number(value.toPrecision(4)));

/** The value at a path of keys, where every step is an object. */
function at(value: Json | undefined, ...keys: string[]): Json | undefined {
  for (const key of keys) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = Object.hasOwn(value, key) ? (value as JsonObject)[key] : undefined;
  }
  return value;
}

function frontMatter(config: JsonObject): string {
  const modelType = config["model_type"];
  return stringify({
    library_name: "transformers",
    pipeline_tag: "fill-mask",
    tags: ["dllm", "masked-diffusion", "diffusion-language-model", modelType],
  }).trimEnd();
}

function datasets(recipe: JsonObject): string {
  const rows = ["pretrain", "sft"].flatMap((section) => {
    const source = at(recipe, section, "dataset_args");
    return typeof source === "string" ? [[section, code(source)]] : [];
  });
  const from = at(recipe, "model", "name_or_path");
  const start = typeof from === "string" ? [["starting point", code(from)]] : [];
  const all = [...start, ...rows];
  return all.length === 0 ? "" : `${table(["Stage", "Data"], all)}\n`;
}

function evaluation(title: string, results: readonly QuotedResult[]): string {
  const rows = results.map(({ task, metric, value, stderr, n, protocol }) => [
    cell(task),
    cell(metric),
    stderr === undefined ? round(value) : `${round(value)} ± ${round(stderr)}`,
    n === undefined ? "" : String(n),
    cell(protocol ?? ""),
  ]);
  return `### ${cell(title)}\n\n${table(["Task", "Metric", "Value", "n", "Protocol"], rows)}\n`;
}

function transformersExample(recipe: JsonObject): string {
  const newTokens = at(recipe, "eval", "sampler", "max_new_tokens");
  const prompt =
    at(recipe, "sft") === undefined
      ? `prompt = tokenizer("Once upon", add_special_tokens=False)["input_ids"]`
      : `prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "Hello!"}], add_generation_prompt=True, tokenize=True
)`;
  return `import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

directory = "."  # this directory, or the name of its repository
tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForMaskedLM.from_pretrained(directory).eval()

${prompt}
new_tokens = ${typeof newTokens === "number" ? newTokens : 64}
ids = torch.tensor([prompt + [tokenizer.mask_token_id] * new_tokens])
while (ids == tokenizer.mask_token_id).any():
    with torch.no_grad():
        probabilities = model(input_ids=ids).logits.softmax(-1)
    probabilities[..., tokenizer.mask_token_id] = 0
    confidence, tokens = probabilities.max(-1)
    confidence[ids != tokenizer.mask_token_id] = -1
    position = confidence.argmax()  # reveal the token that the model is surest of
    ids[0, position] = tokens[0, position]
print(tokenizer.decode(ids[0, len(prompt):], skip_special_tokens=True))`;
}

const onnxExample = `import * as ort from "onnxruntime-node";

const session = await ort.InferenceSession.create("model.onnx");
const tensor = (values) =>
  new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
const { logits } = await session.run({
  input_ids: tensor(ids),
  attention_mask: tensor(ids.map(() => 1)),
}); // float32 [1, ids.length, vocab_size]`;

/** Returns the text of README.md; equal facts give equal bytes. */
export function modelCard(facts: ModelCardFacts): string {
  const { recipe, config, parameters, evaluations, fingerprints, formats } = facts;
  const name = String(at(recipe, "name") ?? "model");
  const description = at(recipe, "description");
  const isChat = at(recipe, "sft") !== undefined;
  const quoted = evaluations.filter(({ results }) => results.length > 0);
  const parts = [
    `---\n${frontMatter(config)}\n---\n`,
    `# ${cell(name)}\n`,
    ...(typeof description === "string" ? [`${cell(description)}\n`] : []),
    `A masked-diffusion ${isChat ? "chat" : "language"} model: a ${cell(String(config["model_type"]))} ` +
      `encoder with ${parameters.toLocaleString("en-US")} parameters that writes text by filling in ` +
      "masks, all positions at once, in a few denoising steps.\n",
    "## How it was trained\n",
    datasets(recipe),
    "The whole recipe, with all defaults filled in. `dllm run` on it repeats the training:\n",
    `${codeBlock("yaml", stringify(recipe, { lineWidth: 0 }))}\n`,
    ...(quoted.length > 0
      ? ["## Evaluation\n", ...quoted.map(({ title, results }) => evaluation(title, results))]
      : []),
    "## How to use it\n",
    "With dllm:\n",
    `${codeBlock("sh", `dllm ${isChat ? "chat ." : `sample . --prompt "Once upon"`}`)}\n`,
    ...(formats.includes("safetensors")
      ? ["With transformers:\n", `${codeBlock("python", transformersExample(recipe))}\n`]
      : []),
    ...(formats.includes("onnx")
      ? ["With ONNX Runtime:\n", `${codeBlock("js", onnxExample)}\n`]
      : []),
    "## Fingerprints\n",
    `${table(
      ["What", "sha256"],
      fingerprints.map(([what, value]) => [cell(what), code(value)]),
    )}\n`,
  ];
  return parts.filter((part) => part !== "").join("\n");
}
