/** @file `dllm ls`: the recipes below a directory. */
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import { fakeIo } from "../support/recipes.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-ls-"));
  mkdirSync(join(directory, "sub"));
  const files = {
    "b.yaml": "name: b\ndescription: the second\nprofiles: {smoke: {seed: 1}, long: {seed: 2}}\n",
    "sub/a.yml": "name: a\n",
    "sub/base.yaml": "seed: 1\n",
    "broken.yaml": "name: [\n",
    "notes.txt": "name: x\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function ls(...args: string[]) {
  const io = fakeIo();
  const exitCode = await runCli(["ls", ...args], io);
  const plain = (text: string) => text.replaceAll(`${directory}/`, "").replaceAll(directory, ".");
  return { exitCode, stdout: plain(io.stdout()), stderr: plain(io.stderr()) };
}

test("recipes in order, with what they are for and their profiles; parts are none", async () => {
  const { exitCode, stdout, stderr } = await ls(directory);
  expect(exitCode).toBe(0);
  expect(stdout.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual([
    "b.yaml the second",
    " profiles: smoke, long",
    "sub/a.yml",
    "",
  ]);
  expect(stderr).toMatch(/^warning: broken\.yaml is no recipe: broken\.yaml:2:1: not valid YAML: /);
});

test("as JSON", async () => {
  expect(JSON.parse((await ls(directory, "--json")).stdout)).toEqual([
    { file: "b.yaml", name: "b", description: "the second", profiles: ["smoke", "long"] },
    { file: "sub/a.yml", name: "a", profiles: [] },
  ]);
});

test("nothing there", async () => {
  const empty = join(directory, "empty");
  mkdirSync(empty);
  const none = await ls(empty);
  expect(none).toEqual({ exitCode: 0, stdout: "", stderr: "there is no recipe below empty\n" });
  const absent = await ls(join(directory, "absent"));
  expect(absent.exitCode).toBe(66);
  expect(absent.stderr).toMatch(/^error: there is no directory .*absent\n/);
});

test("the shipped recipes all say what they are for", async () => {
  const io = fakeIo();
  await runCli(["ls", "--json"], io);
  const recipes = JSON.parse(io.stdout()) as { file: string; description?: string }[];
  expect(io.stderr()).toBe("");
  expect(recipes.length).toBeGreaterThanOrEqual(9);
  for (const { file, description } of recipes) expect(description, file).toMatch(/^.{20,110}$/);
});

test.skipIf(process.getuid?.() === 0)(
  "a directory that may not be read is left out, and named (root may read all: skipped for it)",
  async () => {
    const closed = join(directory, "closed");
    mkdirSync(closed, { mode: 0 });
    const { exitCode, stdout, stderr } = await ls(directory);
    rmdirSync(closed);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("sub/a.yml");
    expect(stderr).toContain("warning: closed is left out: EACCES: permission denied");
  },
);
