/** @file A streamed pretraining: prepared without its rows, stopped and resumed to the same weights. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { estimateDiskNeed } from "../../src/commands/disk-need.js";
import { readDatasetInfo } from "../../src/data/token-dataset.js";
import type { SourceParams } from "../../src/plan/params.js";
import { planRun, type Plan } from "../../src/plan/plan.js";
import { StageStopped, type StageJob } from "../../src/plan/stage.js";
import type { Store } from "../../src/run/store.js";
import { run as prepare } from "../../src/stages/prepare.js";
import { run as train } from "../../src/stages/train.js";
import { commitOf, startHub, type HubServer } from "../support/hub-server.js";
import { writeByteTokenizer } from "../support/model-directory.js";
import { checkpointsIn, stageContext } from "../support/stage-context.js";
import { fakePins, problemsOf, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";

const base = mkdtempSync(join(tmpdir(), "dllm-streamed-"));
const tokenizer = join(base, "tokenizer");
const shard = (number: number): string => `train-0000${number}-of-00003.jsonl`;
let server: HubServer;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  environment = { ...process.env };
  await writeByteTokenizer(tokenizer);
  const rows = (from: number) =>
    Array.from({ length: 700 }, (_, i) => `{"text": "line ${from + i}"}\n`).join("");
  const files = Object.fromEntries(
    [0, 1, 2].map((number) => [
      shard(number),
      { content: Buffer.from(rows(1000 * number)), lfs: true },
    ]),
  );
  server = await startHub([
    {
      kind: "dataset",
      name: "someone/lines",
      revisions: { main: commitOf("a") },
      commits: { [commitOf("a")]: files },
    },
    {
      kind: "dataset",
      name: "someone/more",
      revisions: { main: commitOf("a") },
      commits: {
        [commitOf("a")]: { "train.jsonl": { content: Buffer.from(rows(7000)), lfs: true } },
      },
    },
  ]);
  process.env["HF_ENDPOINT"] = server.endpoint;
  process.env["HF_HUB_CACHE"] = join(base, "cache");
});
afterEach(() => (server.seen.length = 0));
afterAll(async () => {
  process.env = environment;
  await server.close();
  rmSync(base, { recursive: true, force: true });
});

const lines = (options: Record<string, number> = {}): SourceParams => ({
  name: "someone/lines",
  options,
  files: [],
  hub: { revision: "main", commit: commitOf("a") },
});

function plannedStages(...sources: SourceParams[]) {
  const { pins, ...rest } = fakePins();
  const { stages } = planRun({
    loaded: smallRecipe(
      SMALL_RECIPE.replace(/^model:[^]*(?=^tokenizer)/m, MODEL).replace(
        "max_steps: 100",
        "max_steps: 8",
      ),
      ["pretrain.streaming=true", "pretrain.max_length=16", "pretrain.logging_steps=1"],
    ),
    ...rest,
    pins: { ...pins, datasets: { ...pins.datasets, "pretrain.dataset_args": sources } },
    cores: 1,
    existing: () => undefined,
    previous: undefined,
  });
  return stages;
}

const MODEL = `model:
  config: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24,
    max_position_embeddings: 128}
`;

let outputs = 0;
async function runStage(
  job: Pick<StageJob, "id" | "kind" | "params">,
  inputs: Record<string, string>,
  { stop = { requested: false }, checkpoints = `checkpoints-${outputs}` } = {},
): Promise<{ output: string; losses: number[] }> {
  const output = join(base, `output-${outputs++}`);
  const losses: number[] = [];
  const context = stageContext(
    { ...job, inputs },
    {
      outputDirectory: output,
      checkpoints: checkpointsIn(join(base, checkpoints)),
      metric: ({ loss, step }) => {
        if (typeof loss === "number") losses.push(loss);
        if (stop === stopAt[step]) stop.requested = true;
      },
      stop,
    },
  );
  await (job.kind === "prepare" ? prepare : train)(context);
  return { output, losses };
}
/** Asks to stop when a step is done. */
const stopAt: Record<number, { requested: boolean }> = {
  1: { requested: false },
  3: { requested: false },
  7: { requested: false },
};
const weights = (output: string): Buffer => readFileSync(join(output, "model.safetensors"));

async function prepared(...sources: SourceParams[]) {
  const stages = plannedStages(...sources);
  const data = stages.find(({ id }) => id === "prepare-pretrain")!;
  const training = stages.find(({ id }) => id === "pretrain")!;
  const { output } = await runStage(data, { tokenizer });
  return { data: output, training };
}

test("nothing is downloaded before it is needed; what is held out is prepared", async () => {
  const whole = await prepared(lines());
  const info = await readDatasetInfo(whole.data);
  expect(info.splits).toEqual({});
  expect(info.stream).toMatchObject({ sources: [lines()], max_length: 16 });
  expect(server.seen.filter(({ path }) => path.includes("/resolve/"))).toEqual([]);
  const { splits } = await readDatasetInfo((await prepared(lines({ test: 40 }))).data);
  expect(splits["test"]).toMatchObject({ source_rows: 40 });
  expect(splits["test"]!.rows).toBeGreaterThan(10);
  const fetched = new Set(server.seen.map(({ path }) => /train-\d+/.exec(path)?.[0]));
  fetched.delete(undefined);
  expect(fetched).toEqual(new Set(["train-00000"]));
});

const more = (): SourceParams => ({ ...lines(), name: "someone/more" });
test.each([
  ["one dataset", [lines({ test: 40 })]],
  [
    "a weighted mix",
    [
      { ...lines({ test: 40 }), weight: 3 },
      { ...more(), weight: 1 },
    ],
  ],
])(
  "%s, stopped three times and resumed: the weights of an uninterrupted run",
  async (name, sources) => {
    const { data, training } = await prepared(...sources);
    const inputs = { data, tokenizer };
    const uninterrupted = await runStage(training, inputs);
    expect(uninterrupted.losses).toHaveLength(8);
    const losses: number[] = [];
    const checkpoints = `interrupted ${name}`;
    for (const stop of Object.values(stopAt)) stop.requested = false;
    for (const step of [1, 3, 7]) {
      const stopped = runStage(training, inputs, { stop: stopAt[step]!, checkpoints });
      await expect(stopped).rejects.toThrow(StageStopped);
    }
    const resumed = await runStage(training, inputs, { checkpoints });
    losses.push(...resumed.losses);
    expect(losses).toEqual(uninterrupted.losses.slice(7));
    expect(weights(resumed.output).equals(weights(uninterrupted.output))).toBe(true);
  },
  60_000,
);

test("a shard that fails to download ends the training with its own exit code", async () => {
  const { data, training } = await prepared(lines());
  rmSync(join(base, "cache"), { recursive: true });
  server.faults.push(({ path }, response) => {
    if (!path.includes("/resolve/")) return false;
    response.writeHead(404).end();
    return true;
  });
  try {
    await expect(runStage(training, { data, tokenizer })).rejects.toMatchObject({ exitCode: 66 });
  } finally {
    server.faults.length = 0;
  }
});

test("a local source: its directory reaches the training, and no disk is needed for its rows", async () => {
  const files = [{ path: "train.jsonl", bytes: 1e15, sha256: "0".repeat(64) }];
  const stages = plannedStages({ name: "text", options: {}, files });
  const store = { finished: () => undefined } as unknown as Store;
  const selected = new Set(["prepare-pretrain"]);
  const plan = { stages } as unknown as Plan;
  const need = estimateDiskNeed({ plan, store, selected, listing: () => undefined });
  expect(need.stages.get("prepare-pretrain")).toBe(0);
  expect(Object.keys(stages.find(({ id }) => id === "pretrain")!.locations)).toEqual(["text"]);
});

test("of a source on the hub, the training needs room for its two largest shards", () => {
  const plan = { stages: plannedStages(lines()) } as unknown as Plan;
  const store = { finished: () => undefined } as unknown as Store;
  const selected = new Set(["pretrain"]);
  const needWith = (sizes: readonly number[]): number =>
    estimateDiskNeed({
      plan,
      store,
      selected,
      listing: () => sizes.map((bytes) => ({ bytes })),
    }).stages.get("pretrain")!;
  expect(needWith([1e6, 3e6, 2e6]) - needWith([])).toBe(5e6);
});

test("what a stream cannot do is said in the recipe", () => {
  const recipe = (pretrain: string) =>
    SMALL_RECIPE.replace(/^pretrain:[^]*(?=^sft)/m, `pretrain: {streaming: true, ${pretrain}}\n`);
  const problem = (pretrain: string) => problemsOf(recipe(pretrain)).split("\n").slice(0, 1);
  const text = "dataset_args: text, max_steps: 9";
  expect(problemsOf(recipe(text))).toBe("");
  expect(problem("dataset_args: text")).toEqual([
    expect.stringContaining("the length of the training is not known: the rows never end"),
  ]);
  expect(problem(`${text}, test_fraction: 0.1`)).toEqual([
    expect.stringContaining("a share of a stream cannot be held out: its rows are not counted"),
  ]);
  expect(problem(`${text}, group_by_length: true`)).toEqual([
    expect.stringContaining("the rows of a stream cannot be grouped by length"),
  ]);
  const weighted = "[{name: text, weight: 2}, {name: chat, weight: 1}]";
  expect(problemsOf(recipe(`dataset_args: ${weighted}, max_steps: 9`))).toBe("");
});
