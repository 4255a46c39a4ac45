/** The smoke profile of every shipped recipe: its whole graph of stages, tiny, on this machine. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, expect, test } from "vitest";
import { recipesBelow } from "../../src/commands/ls.js";
import { loadRecipe } from "../../src/recipe/load.js";

const runs = mkdtempSync(join(tmpdir(), "dllm-smoke-"));
afterAll(() => rmSync(runs, { recursive: true }));

const recipes = (await recipesBelow("recipes")).filter(({ name }) => name !== undefined);

interface Stage {
  id: string;
  action: string;
  kind: string;
}

async function planOf(file: string): Promise<{ name: string; stages: Stage[] }> {
  const { stdout } = await execa("node", [
    ...["bin/dllm.js", "plan", file, "--profile", "smoke", "--json", "--runs", runs],
  ]);
  return JSON.parse(stdout) as { name: string; stages: Stage[] };
}

test("there are the recipes of the report", () => {
  expect(recipes.length).toBeGreaterThanOrEqual(9);
});

test.each(recipes.map(({ file }) => file))("%s runs whole", async (file) => {
  const { recipe } = await loadRecipe(file, { profiles: ["smoke"] });
  const before = await planOf(file);
  expect(before.name).toBe(recipe.name);
  expect(recipe.name).toMatch(/-smoke$/);
  const { exitCode } = await execa("node", [
    ...["bin/dllm.js", "run", file, "--profile", "smoke", "--runs", runs, "--quiet"],
  ]);
  expect(exitCode).toBe(0);
  const after = await planOf(file);
  expect(after.stages.map(({ id }) => id)).toEqual(before.stages.map(({ id }) => id));
  expect(after.stages.every(({ action }) => action === "reuse")).toBe(true);
  const plan = JSON.parse(readFileSync(join(runs, recipe.name, "plan.json"), "utf8")) as {
    stages: Stage[];
  };
  expect(plan.stages).toHaveLength(after.stages.length);
});
