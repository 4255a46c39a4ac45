/** @file Every deliberate difference from the reference names the test that covers it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SOURCE_ROOT, sourceFiles } from "./support/imports.js";

const MARK = "DIFFERS:";

interface Difference {
  /** `src/…:line` */
  where: string;
  /** The rest of its comment, up to the next difference. */
  comment: string;
}

const isComment = (line: string) => /^\s*(\/\/|\/\*|\*)/.test(line);

function differencesOf(file: string, text: string): Difference[] {
  const lines = text.split("\n");
  return lines.flatMap((line, first) => {
    if (!line.includes(MARK)) return [];
    let end = first + 1;
    const goesOn = () =>
      !lines[end - 1]!.includes("*/") && isComment(lines[end] ?? "") && !lines[end]!.includes(MARK);
    while (goesOn()) end++;
    const own = [line.slice(line.indexOf(MARK)), ...lines.slice(first + 1, end)];
    return [{ where: `${file}:${first + 1}`, comment: own.join("\n") }];
  });
}

const testsNamedIn = (comment: string) => comment.match(/\btest\/[\w./-]+\.test\.ts/g) ?? [];

const differences = sourceFiles().flatMap((file) => {
  const path = join(SOURCE_ROOT, file);
  return differencesOf(path, readFileSync(path, "utf8"));
});

test("a comment is read from its mark to its end", () => {
  const text = `// before: test/a.test.ts
// ${MARK} one, two
// (test/b.test.ts).
code(); // ${MARK} beside code

/**
 * ${MARK} three. Covered by test/c.test.ts.
 * ${MARK} four (test/d/e-f.test.ts, test/g.test.ts).
 */
/** test/h.test.ts */`;
  expect(
    differencesOf("f", text).map(({ where, comment }) => [where, testsNamedIn(comment)]),
  ).toEqual([
    ["f:2", ["test/b.test.ts"]],
    ["f:4", []],
    ["f:7", ["test/c.test.ts"]],
    ["f:8", ["test/d/e-f.test.ts", "test/g.test.ts"]],
  ]);
});

test("there are differences", () => {
  expect(differences.length).toBeGreaterThan(8);
});

test.each(differences)("$where names a test that exists", ({ comment }) => {
  const named = testsNamedIn(comment);
  expect(named, comment).not.toEqual([]);
  expect(named.filter((file) => !existsSync(file))).toEqual([]);
});
