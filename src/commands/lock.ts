/**
 * @file `dllm lock <recipe>` writes down, in the `dllm.lock` beside it, what the recipe stands for
 * now: commits and contents of its sources, and the defaults it relies on.
 */
import { ExitCode } from "../base/errors.js";
import { writeUserFile } from "../base/fs.js";
import { lockDrift, lockedRecipe, type LockFile } from "../plan/lock.js";
import type { LockCommand } from "./command.js";
import { lockPath, readLock, resolveAnew } from "./locked.js";
import { loadWithOptions } from "./recipe-plan.js";

export const run: LockCommand = async ([recipe, overrides], options, io) => {
  const loaded = await loadWithOptions(recipe, overrides, options);
  const { name } = loaded.recipe;
  const path = lockPath(loaded);
  const lock = readLock(path);
  const now = lockedRecipe(loaded, (await resolveAnew(loaded, io)).pins);
  const before = lock.recipes[name];
  const changes = before === undefined ? [] : lockDrift(before, now);
  const recipes = Object.entries({ ...lock.recipes, [name]: now }).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const written: LockFile = { schema: 1, recipes: Object.fromEntries(recipes) };
  await writeUserFile(path, `${JSON.stringify(written, null, 2)}\n`);
  for (const change of changes) io.out(change);
  const { sources, defaults } = now;
  io.out(
    `${path} locks ${name}: ${count(sources, "source")}, ${count(defaults, "default")}` +
      (before !== undefined && changes.length === 0 ? ", as before" : ""),
  );
  return ExitCode.ok;
};

function count(things: object, word: string): string {
  const { length } = Object.keys(things);
  return `${length} ${word}${length === 1 ? "" : "s"}`;
}
