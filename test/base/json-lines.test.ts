/** @file Lines that are only appended to, and what a crash may do to them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { injectFault } from "../../src/base/fault.js";
import { openJsonLines, readJsonLines } from "../../src/base/json-lines.js";
import { sanitize } from "../../src/base/sanitize.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

test("a file torn at any byte: whole lines stay, the rest is kept aside, appending goes on", async () => {
  const text = '{"step":1}\n{"step":2,"loss":"NaN"}\n';
  for (let length = 0; length <= text.length; length++) {
    await inTemporaryDirectory((directory) => {
      const path = join(directory, "metrics.jsonl");
      const tornPath = join(directory, "metrics.torn");
      writeFileSync(path, text.slice(0, length));
      const whole = text.slice(0, length).lastIndexOf("\n") + 1;
      const steps = text.slice(0, whole).split("\n").length - 1;
      expect(readJsonLines(path)).toMatchObject({ badLines: 0, records: { length: steps } });

      const file = openJsonLines(path, { tornPath });
      file.append('{"step":9}');
      file.close();
      expect(readFileSync(path, "utf8")).toBe(`${text.slice(0, whole)}{"step":9}\n`);
      if (whole === length) expect(() => readFileSync(tornPath)).toThrow(/ENOENT/);
      else expect(readFileSync(tornPath, "utf8")).toBe(`${text.slice(whole, length)}\n`);
      return Promise.resolve();
    });
  }
});

test("lines that are no objects are counted; an absent file has none", async () => {
  await inTemporaryDirectory((directory) => {
    const path = join(directory, "x.jsonl");
    expect(readJsonLines(path)).toEqual({ records: [], badLines: 0 });
    writeFileSync(path, '{"a":1}\nNaN\n\u0000\u0000\n3\n{"a":2}\n');
    expect(readJsonLines(path)).toEqual({ records: [{ a: 1 }, { a: 2 }], badLines: 3 });
    return Promise.resolve();
  });
});

test("a line never contains a line break", async () => {
  await inTemporaryDirectory((directory) => {
    const file = openJsonLines(join(directory, "x"), { tornPath: join(directory, "torn") });
    expect(() => file.append("a\nb")).toThrow(/contains a newline/);
    file.close();
    return Promise.resolve();
  });
});

test.each(["append", "fsync"])("nothing is appended after a failed %s", async (point) => {
  await inTemporaryDirectory((directory) => {
    const path = join(directory, "x.jsonl");
    const file = openJsonLines(path, { tornPath: join(directory, "torn"), durable: true });
    file.append('{"step":1}');
    injectFault(`${point}:1:enospc`);
    expect(() => file.append('{"step":2}')).toThrow(/ENOSPC/);
    injectFault(undefined);
    const left = readFileSync(path, "utf8");
    expect(() => file.append('{"step":3}')).toThrow(/ENOSPC/);
    file.close();
    expect(readFileSync(path, "utf8")).toBe(left);
    return Promise.resolve();
  });
});

test.each([
  ["colours and cursor", "\u001b[31mred\u001b[2J\u001b[H!", "red!"],
  ["the clipboard", "a\u001b]52;c;ZXZpbA==\u0007b", "ab"],
  ["carriage return, backspace, bell", "good\rbad\b\u0007", "goodbad"],
  ["C1 and DEL", "a\u009b31mb\u007f\u0085c", "abc"],
  ["text direction", "a\u202eb\u2066c\u2069\u200fd", "abcd"],
  ["nothing that is text", "línea\t日本\nzwei 🙂", "línea\t日本\nzwei 🙂"],
])("sanitize removes %s", (_, text, clean) => {
  expect(sanitize(text)).toBe(clean);
});

test("sanitize cuts long lines", () => {
  expect(sanitize(`${"x".repeat(10_000_000)}\nnext`)).toBe(`${"x".repeat(8192)}…\nnext`);
});
