/** @file docs/faults.md has every row of the fault matrix, and none that is not tested. */
import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

const count = (letter: string, rows: number): string[] =>
  Array.from({ length: rows }, (_, i) => `${letter}${i + 1}`);

test("every row is described, and every row that is described is tested", () => {
  const rows = [...read("docs/faults.md").matchAll(/^\| ([PS]\d+) +\|(.*)\|$/gm)].map(
    ([, id, cells]) => ({ id: id!, isTested: !cells!.includes("not in this version") }),
  );
  expect(rows.map(({ id }) => id)).toEqual([...count("P", 18), ...count("S", 21)]);
  const sources = readdirSync(new URL("faults/", import.meta.url))
    .filter((name) => name.endsWith(".faults.ts"))
    .map((name) => read(`test/faults/${name}`));
  const tested = new Set(
    sources.flatMap((text) => [...text.matchAll(/[(["]\s*"?([PS]\d+)",/g)]).map(([, id]) => id),
  );
  expect(
    rows
      .filter(({ isTested }) => isTested)
      .map(({ id }) => id)
      .sort(),
  ).toEqual([...tested].sort());
});
