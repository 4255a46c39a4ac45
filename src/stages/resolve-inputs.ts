/**
 * @file Asks the hub what the sources of a recipe are now: the commit of each revision that is not
 * known yet, and whether what the recipe asks for is in it. Before a run, and for `dllm lock`;
 * planning needs none of it.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import { hubName } from "../data/hub-name.js";
import { resolveHubDataset } from "../data/open-source.js";
import type { Hub } from "../hub/hub.js";
import { listFiles, resolveRevision } from "../hub/repository.js";
import type { HubRevision } from "../plan/params.js";
import type { PinnedDirectory } from "../plan/pins.js";
import type { LoadedRecipe } from "../recipe/load.js";
import { pinInputs, type KnownCommits, type PinnedInputs } from "./pins.js";

export interface ResolveOptions {
  hub: Hub;
  /** Commits that are already known (a lock): they are taken as they are. */
  known?: KnownCommits;
  /** What is looked at: all inputs of the recipe by default. */
  pin?: typeof pinInputs;
}

/**
 * Returns the inputs of a recipe with the commits of all hub sources, and those commits.
 * @throws RecipeError at the recipe's key: 65 for a configuration, split or file that is not
 * there, 66 and 77 for a repository, 69 when the hub does not answer
 */
export async function resolveInputs(
  loaded: LoadedRecipe,
  { hub, known = {}, pin = pinInputs }: ResolveOptions,
): Promise<PinnedInputs & { commits: KnownCommits }> {
  const { pins } = await pin(loaded, known);
  const commits: Record<string, HubRevision> = {};
  const add = async (
    keyPath: string,
    key: string,
    { revision, commit }: HubRevision,
    resolve: () => Promise<string>,
  ): Promise<void> => {
    if (commits[key]?.revision === revision) return;
    const found = commit ?? (await resolve().catch((error: unknown) => atKey(keyPath, error)));
    commits[key] = { revision, commit: found };
  };
  const atKey = (keyPath: string, error: unknown): never => {
    if (!(error instanceof DllmError)) throw error;
    const { message, details, exitCode } = error;
    throw loaded.errorAt(keyPath, { message, details, exitCode, cause: error });
  };
  for (const [keyPath, sources] of Object.entries(pins.datasets)) {
    for (const source of sources) {
      if (source.hub === undefined) continue;
      const { revision } = source.hub;
      const asked = revision === "main" ? {} : { revision };
      await add(keyPath, `dataset ${source.name}`, source.hub, () =>
        resolveHubDataset(hub, { ...source, ...asked }),
      );
    }
  }
  const { model, tokenizer } = pins;
  if (model?.hub !== undefined) {
    const required = ["config.json", ...(tokenizer?.name === model.name ? ["tokenizer.json"] : [])];
    await add("model.name_or_path", `model ${model.name}`, model.hub, () =>
      resolveModel(hub, model, { required, weights: true }),
    );
  }
  if (tokenizer?.hub !== undefined) {
    const keyPath =
      loaded.recipe.tokenizer?.name_or_path === undefined
        ? "model.name_or_path"
        : "tokenizer.name_or_path";
    await add(keyPath, `model ${tokenizer.name}`, tokenizer.hub, () =>
      resolveModel(hub, tokenizer, { required: ["tokenizer.json"], weights: false }),
    );
  }
  return { ...(await pin(loaded, { ...known, ...commits })), commits };
}

async function resolveModel(
  hub: Hub,
  { name, hub: asked }: PinnedDirectory,
  { required, weights }: { required: readonly string[]; weights: boolean },
): Promise<string> {
  const repository = { kind: "model" as const, name: hubName(name) };
  const commit = await resolveRevision(hub, { ...repository, revision: asked!.revision });
  const paths = (await listFiles(hub, { ...repository, commit })).map(({ path }) => path);
  const missing = required.find((file) => !paths.includes(file));
  const hasWeights = paths.some((path) => /^[^/]+\.safetensors$/.test(path));
  if (missing === undefined && (hasWeights || !weights)) return commit;
  throw new DllmError(
    missing === undefined
      ? `model ${name} has no weights in safetensors format`
      : `model ${name} has no ${missing}`,
    {
      exitCode: ExitCode.notFound,
      details: [`found on the hub at ${commit}: ${paths.slice(0, 20).join(", ")}`],
    },
  );
}
