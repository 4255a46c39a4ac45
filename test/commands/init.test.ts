/** @file `dllm init`: an experiment of one's own, which is valid as it is. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import { fakeIo } from "../support/recipes.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-init-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function dllm(...argv: string[]) {
  const io = fakeIo();
  return { exitCode: await runCli(argv, io), stdout: io.stdout(), stderr: io.stderr() };
}

test("the recipe is named after its directory, valid, plannable, and points to the schema", async () => {
  const target = join(directory, "my first model");
  const { exitCode, stdout } = await dllm("init", target);
  expect(exitCode).toBe(0);
  const recipe = join(target, "recipe.yaml");
  expect(stdout).toMatch(
    /^wrote .*recipe\.yaml and 2 files of data\nnext: edit it, then {2}dllm plan /,
  );
  const text = readFileSync(recipe, "utf8");
  expect(text).toMatch(/^name: my-first-model /m);
  expect(text).not.toContain("recipes/quickstart.yaml");
  const schema = /\$schema=(\S+)/.exec(text)![1]!;
  expect(existsSync(resolve(dirname(recipe), schema))).toBe(true);
  expect(await dllm("validate", recipe)).toEqual({
    exitCode: 0,
    stdout: `${recipe} is valid\n`,
    stderr: "",
  });
  expect((await dllm("plan", recipe, "--runs", join(directory, "runs"))).exitCode).toBe(0);
});

test("nothing is overwritten", async () => {
  const target = join(directory, "other");
  await dllm("init", target);
  writeFileSync(join(target, "recipe.yaml"), "mine");
  const { exitCode, stderr } = await dllm("init", target);
  expect(exitCode).toBe(73);
  expect(stderr).toBe(
    `error: ${join(target, "recipe.yaml")} exists already, and nothing was written\n` +
      "  name another directory, as in dllm init my-experiment\n",
  );
  expect(readFileSync(join(target, "recipe.yaml"), "utf8")).toBe("mine");
});
