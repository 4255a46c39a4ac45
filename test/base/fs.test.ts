/** @file Publishing: whole or not at all, whatever fails or dies; and damage is always found. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import { injectFault, parseFault } from "../../src/base/fault.js";
import {
  makeDirectory,
  makeUserDirectory,
  publishDirectory,
  readJson,
  sha256,
  sha256File,
  verifyDirectory,
  verifyDirectorySync,
  writeFile,
  writeFileAtomic,
  writeUserFile,
} from "../../src/base/fs.js";
import { bundle } from "../support/bundle.js";
import { writeTask } from "./fixtures/write-task.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

let writer: string;
beforeAll(async () => {
  writer = await bundle("test/base/fixtures/writer.ts");
});
afterEach(() => injectFault(undefined));

/** Runs the writer in its own process; returns `killed`, or `ok` when the fault is past its end. */
function writeAndDie(task: string, directory: string, fault: string): "ok" | "killed" {
  const { stdout, stderr, signal } = spawnSync(process.execPath, [writer, task, directory], {
    env: { ...process.env, DLLM_FAULT: fault },
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  if (signal === null) expect(stdout).toBe("ok\n");
  else expect(signal).toBe("SIGKILL");
  return signal === null ? "ok" : "killed";
}

/** Runs the writer here; returns the message of its error, or `ok`. */
async function writeAndFail(task: string, directory: string, fault: string): Promise<string> {
  injectFault(fault);
  const outcome = await writeTask(task, directory).then(
    () => "ok",
    (error: unknown) => {
      if (!(error instanceof DllmError)) throw error;
      return `${error.exitCode} ${error.message}`;
    },
  );
  injectFault(undefined);
  return outcome;
}

/** Calls `attempt` with n = 1, 2, … and a fresh directory until it returns `ok`; counts the others. */
async function everyFault(
  attempt: (directory: string, n: number) => Promise<string>,
): Promise<number> {
  for (let n = 1; ; n++) {
    if ((await inTemporaryDirectory((directory) => attempt(directory, n))) === "ok") return n - 1;
  }
}

const leftovers = (directory: string) =>
  readdirSync(directory).filter((name) => name.startsWith(".tmp-"));

describe("publishDirectory", () => {
  test("publishes every file with its size and hash", async () => {
    await inTemporaryDirectory(async (directory) => {
      const target = join(directory, "deep", "artifact");
      const manifest = await publishDirectory({ target, extra: { step: 7 } }, async (inside) => {
        await makeDirectory(join(inside, "sub"));
        await writeFile(join(inside, "sub", "b.txt"), "bee");
        await writeFile(join(inside, "a.bin"), new Uint8Array([1, 2, 3]));
      });
      expect(manifest).toEqual({
        schema: 1,
        step: 7,
        files: {
          "a.bin": { bytes: 3, sha256: sha256(new Uint8Array([1, 2, 3])) },
          "sub/b.txt": { bytes: 3, sha256: sha256("bee") },
        },
        checksum: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      });
      expect(await verifyDirectory(target)).toEqual(manifest);
      expect(verifyDirectorySync(target, { hash: true })).toEqual(manifest);
      expect(leftovers(join(directory, "deep"))).toEqual([]);
    });
  });

  test.each([
    // 3 mkdir and an fsync of one's parent; 3 files: created, 4 writes, fsync, read-only; 2 fsyncs
    // of directories, rename, parent.
    ["any", "kill", 21],
    ["write", "torn", 4],
  ])("%s %s at every operation: absent, or complete", async (point, action, expected) => {
    let published = 0;
    const points = await everyFault(async (directory, n) => {
      const outcome = writeAndDie("publish", directory, `${point}:${n}:${action}`);
      const target = join(directory, "artifact");
      if (outcome === "killed" && existsSync(target)) published++;
      // The next writer is not disturbed by what is left.
      if (!existsSync(target)) await writeTask("publish", directory);
      await verifyDirectory(target, { hash: true });
      return outcome;
    });
    expect(points).toBe(expected);
    // Only the fsync of the parent comes after the rename.
    expect(published).toBe(action === "kill" ? 1 : 0);
  });

  test.each([
    ["eio", /^74 cannot .*: EIO/],
    ["enospc", /^74 cannot .*: ENOSPC/],
  ])("%s at every operation: an error, and no trace", async (action, message) => {
    const points = await everyFault(async (directory, n) => {
      const outcome = await writeAndFail("publish", directory, `any:${n}:${action}`);
      if (outcome !== "ok") expect(outcome).toMatch(message);
      expect(leftovers(directory)).toEqual([]);
      return outcome;
    });
    expect(points).toBe(21);
  });

  test("what the writer throws comes through and leaves nothing", async () => {
    await inTemporaryDirectory(async (directory) => {
      const target = join(directory, "artifact");
      const failing = publishDirectory({ target }, async (inside) => {
        await writeFile(join(inside, "a"), "a");
        throw new RangeError("mine");
      });
      await expect(failing).rejects.toThrow(new RangeError("mine"));
      expect(readdirSync(directory)).toEqual([]);
    });
  });

  test("never publishes links, hidden files, or over another artifact", async () => {
    await inTemporaryDirectory(async (directory) => {
      const publish = (name: string, put: (inside: string) => void) =>
        publishDirectory({ target: join(directory, name) }, (inside) => {
          put(inside);
          return Promise.resolve();
        });
      await expect(
        publish("links", (inside) => symlinkSync("/etc/passwd", join(inside, "link"))),
      ).rejects.toThrow(/link is neither a file nor a directory/);
      await expect(
        publish("hidden", (inside) => writeFileSync(join(inside, ".secret"), "")),
      ).rejects.toThrow(/\.secret begins with a dot/);
      await publish("once", (inside) => writeFileSync(join(inside, "a"), "1"));
      await expect(
        publish("once", (inside) => writeFileSync(join(inside, "a"), "2")),
      ).rejects.toMatchObject({ exitCode: 73 });
      expect(readFileSync(join(directory, "once", "a"), "utf8")).toBe("1");
    });
  });
});

describe("verifyDirectory", () => {
  const damages: [string, (artifact: string) => void, RegExp][] = [
    [
      "a flipped bit",
      (artifact) => {
        const path = join(artifact, "a.txt");
        const bytes = readFileSync(path);
        bytes[2]! ^= 1;
        writeFileSync(path, bytes);
      },
      /a\.txt: damaged: found sha256 [0-9a-f]{64}, expected [0-9a-f]{64}$/,
    ],
    [
      "a cut file",
      (artifact) => truncateSync(join(artifact, "a.txt"), 4),
      /a\.txt: damaged: found 4 bytes, expected 5 bytes$/,
    ],
    [
      "a missing file",
      (artifact) => rmSync(join(artifact, "a.txt")),
      /a\.txt: damaged: found no file, expected 5 bytes$/,
    ],
    [
      "an extra file",
      (artifact) => writeFileSync(join(artifact, "b.txt"), ""),
      /b\.txt: damaged: found a file, expected none \(it is not in the manifest\)$/,
    ],
    [
      "no manifest",
      (artifact) => rmSync(join(artifact, "MANIFEST.json")),
      /MANIFEST\.json: damaged: found no manifest, expected a published directory$/,
    ],
    [
      "a cut manifest",
      (artifact) => truncateSync(join(artifact, "MANIFEST.json"), 20),
      /MANIFEST\.json: not valid JSON: /,
    ],
    [
      "a manifest that says something else",
      (artifact) => {
        const path = join(artifact, "MANIFEST.json");
        const text = readFileSync(path, "utf8").replace('"schema": 1', '"schema": 1, "step": 7');
        rmSync(path);
        writeFileSync(path, text);
      },
      /MANIFEST\.json: damaged: found checksum [0-9a-f]{64}, expected [0-9a-f]{64}$/,
    ],
    [
      "another manifest",
      (artifact) => writeFileSync(join(artifact, "MANIFEST.json"), '{"schema":2,"files":{}}'),
      /MANIFEST\.json: damaged: found other content, expected a manifest of schema 1$/,
    ],
  ];
  test.each(damages)("finds %s", async (_, damage, message) => {
    await inTemporaryDirectory(async (directory) => {
      const target = join(directory, "artifact");
      await publishDirectory({ target }, (inside) => writeFile(join(inside, "a.txt"), "hello"));
      damage(target);
      const found: unknown = await verifyDirectory(target).catch((error: unknown) => error);
      expect(found).toBeInstanceOf(DllmError);
      expect(found).toMatchObject({ exitCode: 65, message: expect.stringMatching(message) });
      expect(() => verifyDirectorySync(target)).toThrow((found as DllmError).message);
    });
  });

  test("without hashing only sizes are compared", async () => {
    await inTemporaryDirectory(async (directory) => {
      const target = join(directory, "artifact");
      await publishDirectory({ target }, (inside) => writeFile(join(inside, "a.txt"), "hello"));
      writeFileSync(join(target, "a.txt"), "jello");
      await expect(verifyDirectory(target, { hash: false })).resolves.toBeDefined();
      await expect(verifyDirectory(target, { hash: true })).rejects.toThrow(/damaged/);
    });
  });
});

describe("writeFileAtomic", () => {
  const begin = (directory: string) =>
    writeFileSync(join(directory, "state.json"), '{"version":"old"}');
  const version = (directory: string) =>
    (readJson(join(directory, "state.json")) as { version: string }).version;

  test("killed at every operation: the old content, or the new", async () => {
    const seen: string[] = [];
    await everyFault((directory, n) => {
      begin(directory);
      const outcome = writeAndDie("replace", directory, `any:${n}:kill`);
      seen.push(version(directory));
      return Promise.resolve(outcome);
    });
    // Before create, write, fsync, rename; before the fsync of the directory; and without a fault.
    expect(seen).toEqual(["old", "old", "old", "old", "new", "new"]);
  });

  test("torn: the old content", async () => {
    await inTemporaryDirectory((directory) => {
      begin(directory);
      expect(writeAndDie("replace", directory, "write:1:torn")).toBe("killed");
      expect(version(directory)).toBe("old");
      return Promise.resolve();
    });
  });

  test("a full disk: the old content, an error that names the file, and no trace", async () => {
    const seen: string[] = [];
    await everyFault(async (directory, n) => {
      begin(directory);
      const outcome = await writeAndFail("replace", directory, `any:${n}:enospc`);
      if (n <= 4) expect(outcome).toMatch(/^74 cannot write .*\/state\.json: ENOSPC/);
      expect(readdirSync(directory)).toEqual(["state.json"]);
      seen.push(version(directory));
      return outcome;
    });
    expect(seen).toEqual(["old", "old", "old", "old", "new", "new"]);
  });

  test("says what the user can do about a path that cannot be written", async () => {
    await inTemporaryDirectory(async (directory) => {
      await expect(writeFileAtomic(join(directory, "no", "file"), "x")).rejects.toMatchObject({
        exitCode: 66,
        message: expect.stringMatching(/^cannot write .*no\/file: ENOENT/),
      });
      writeFileSync(join(directory, "file"), "");
      await expect(makeDirectory(join(directory, "file", "sub"))).rejects.toMatchObject({
        exitCode: 73,
        message: expect.stringMatching(/^cannot create the directory .*file\/sub: ENOTDIR/),
      });
    });
  });

  test.skipIf(process.platform !== "linux")(
    "gives up on a parent that takes no directory, where mkdir -p of Node never ends",
    async () => {
      await expect(makeDirectory("/proc/dllm/runs")).rejects.toMatchObject({ exitCode: 73 });
    },
  );
});

test("sha256 of a text is the one of its file", async () => {
  await inTemporaryDirectory(async (directory) => {
    await writeFile(join(directory, "abc"), "abc");
    const hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(sha256("abc")).toBe(hash);
    expect(await sha256File(join(directory, "abc"))).toEqual({ bytes: 3, sha256: hash });
  });
});

test("a fault with a typo is an error, not a test without faults", () => {
  expect(parseFault("rename@step-:2+:eio")).toEqual({
    point: "rename",
    pathPart: "step-",
    first: 2,
    onward: true,
    action: "eio",
  });
  for (const text of ["renam:1:kill", "rename:0:kill", "rename:1:explode", "rename", ""]) {
    expect(() => parseFault(text)).toThrow(/expected point/);
  }
});

test("nothing but base/ imports the writing functions of node:fs", () => {
  const root = resolve(fileURLToPath(import.meta.url), "../../../src");
  const writing =
    /\b(writeFile|appendFile|createWriteStream|mkdir|mkdtemp|rename|rm|rmdir|unlink|symlink|link|copyFile|cp|truncate|ftruncate|writev?)(Sync)?\b/;
  const offenders: string[] = [];
  let scanned = 0;
  const scan = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) scan(path);
      if (!entry.isFile() || !path.endsWith(".ts")) continue;
      scanned++;
      const text = readFileSync(path, "utf8");
      for (const [, names] of text.matchAll(
        /import\s+(?:type\s+)?\{([^}]*)\}\s+from\s+"node:fs(?:\/promises)?"/g,
      )) {
        if (writing.test(names!)) offenders.push(`${relative(root, path)}: ${names!.trim()}`);
      }
      // A namespace import would hide what is used.
      if (/import\s+\*?\s*\w+\s+from\s+"node:fs/.test(text)) offenders.push(relative(root, path));
    }
  };
  scan(root);
  expect(scanned).toBeGreaterThan(20);
  expect(offenders.filter((path) => !path.startsWith("base/"))).toEqual([]);
});

test("the user's own files and their directories are as the umask allows", () =>
  inTemporaryDirectory(async (directory) => {
    for (const [umask, fileMode, directoryMode] of [
      [0o022, 0o644, 0o755],
      [0o002, 0o664, 0o775],
      [0o077, 0o600, 0o700],
    ] as const) {
      const before = process.umask(umask);
      try {
        const folder = join(directory, umask.toString(8), "deep");
        await makeUserDirectory(folder);
        for (const text of ["new", "replaced"]) await writeUserFile(join(folder, "a"), text);
        expect(statSync(folder).mode & 0o777).toBe(directoryMode);
        expect(statSync(join(folder, "a")).mode & 0o777).toBe(fileMode);
      } finally {
        process.umask(before);
      }
    }
  }));

test("creates directories private to the user", async () => {
  await inTemporaryDirectory(async (directory) => {
    await makeDirectory(join(directory, "private", "too"));
    expect(statSync(join(directory, "private")).mode & 0o077).toBe(0);
    expect(statSync(join(directory, "private", "too")).mode & 0o077).toBe(0);
  });
});
