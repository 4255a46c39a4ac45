/**
 * @file The steps of the protocols that keep work from being lost, each with what its removal looks
 * like and the tests that must notice.
 */
export interface Mutation {
  name: string;
  /** Below src/. */
  file: string;
  /** Stands exactly once in the file. */
  find: string;
  replace: string;
  /** Test files of which at least one test must fail. */
  tests: string;
}

const power = "test/base/power-loss.test.ts";
const fs = "test/base/fs.test.ts";
const locks = "test/base/lock.test.ts";
const executor = "test/run/executor.test.ts";
const interruption = "test/run/interruption.test.ts";
const storage = "test/run/storage.test.ts";

export const mutations: readonly Mutation[] = [
  {
    name: "a written file is not forced to the disk",
    file: "base/files.ts",
    find: 'await guarded({ point: "fsync", path }, action, () => handle.sync());',
    replace: "",
    tests: power,
  },
  {
    name: "a file is replaced in place",
    file: "base/files.ts",
    find: "    await writePieces(temporary, WRITE_FLAGS, mode, data);\n    await renamePath(temporary, path);",
    replace: "    await writePieces(path, WRITE_FLAGS, mode, data);",
    tests: fs,
  },
  {
    name: "a replaced file's name is not forced to the disk",
    file: "base/files.ts",
    find: "    throw renamed(error, temporary, path);\n  }\n  await syncPath(dirname(path));",
    replace: "    throw renamed(error, temporary, path);\n  }",
    tests: power,
  },
  {
    name: "a new directory's name is not forced to the disk",
    file: "base/files.ts",
    find: "for (const directory of missing) await syncPath(dirname(directory));",
    replace: "",
    tests: power,
  },
  {
    name: "a failed write leaves its temporary file",
    file: "base/files.ts",
    find: "await rm(temporary, { force: true }).catch(() => undefined);",
    replace: "",
    tests: fs,
  },
  {
    name: "a journal line is not forced to the disk",
    file: "base/files.ts",
    find: "      if (options.durable) {",
    replace: "      if (options.durable && line === undefined) {",
    tests: power,
  },
  {
    name: "lines are appended after one that could not be",
    file: "base/files.ts",
    find: "if (failure) throw failure.error;",
    replace: "",
    tests: "test/base/json-lines.test.ts",
  },
  {
    name: "a new journal's name is not forced to the disk",
    file: "base/files.ts",
    find: "if (durable && isNew) syncDirectory(dirname(path));",
    replace: "",
    tests: power,
  },
  {
    name: "symbolic links are followed when writing",
    file: "base/files.ts",
    find: "constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;",
    replace: "constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;",
    tests: storage,
  },
  {
    name: "symbolic links are followed when appending",
    file: "base/files.ts",
    find: "constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;",
    replace: "constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;",
    tests: storage,
  },
  {
    name: "files are as the umask makes them",
    file: "base/files.ts",
    find: "const FILE_MODE = 0o600;",
    replace: "const FILE_MODE = 0o666;",
    tests: storage,
  },
  {
    name: "published files stay writable",
    file: "base/files.ts",
    find: "await setMode(path, PUBLISHED_MODE);",
    replace: "",
    tests: storage,
  },
  {
    name: "published directories are not forced to the disk",
    file: "base/manifest.ts",
    find: "for (const directory of directories.reverse()) await syncPath(directory);",
    replace: "",
    tests: power,
  },
  {
    name: "a directory is published before its manifest",
    file: "base/manifest.ts",
    find: "    const manifestPath = join(temporary, MANIFEST_FILE);",
    replace:
      "    await renamePath(temporary, target);\n    await renamePath(target, temporary);\n    const manifestPath = join(temporary, MANIFEST_FILE);",
    tests: fs,
  },
  {
    name: "a published name is not forced to the disk",
    file: "base/manifest.ts",
    find: "    await syncPath(dirname(target));\n",
    replace: "",
    tests: power,
  },
  {
    name: "hashes are not compared",
    file: "base/manifest.ts",
    find: "  return hash ?? bytes < HASH_LIMIT_BYTES;",
    replace: "  return (hash ?? bytes < HASH_LIMIT_BYTES) && bytes < 0;",
    tests: fs,
  },
  {
    name: "sizes are not compared",
    file: "base/manifest.ts",
    find: "if (size !== bytes) throw",
    replace: "if (size < 0) throw",
    tests: fs,
  },
  {
    name: "unknown files are published files",
    file: "base/manifest.ts",
    find: "  if (unexpected !== undefined) {",
    replace: "  if (unexpected === MANIFEST_FILE) {",
    tests: fs,
  },
  {
    name: "a torn line is cut without being kept",
    file: "base/json-lines.ts",
    find: "    torn.append(bytes.subarray(end));",
    replace: "",
    tests: "test/base/json-lines.test.ts",
  },
  {
    name: "a torn line stays",
    file: "base/json-lines.ts",
    find: "  if (existsSync(path)) cutTornLine(path, tornPath);",
    replace: "",
    tests: "test/base/json-lines.test.ts",
  },
  {
    name: "a lock that is held is taken",
    file: "base/lock.ts",
    find: 'else settle(code === BUSY || code === null ? "busy" : "unsupported");',
    replace: 'else settle(code === BUSY || code === null ? "held" : "unsupported");',
    tests: locks,
  },
  {
    name: "an owner file is written over another",
    file: "base/owner-file.ts",
    find: "    await link(temporary, path);",
    replace: "    await rename(temporary, path);",
    tests: locks,
  },
  {
    name: "a process is known by its number alone",
    file: "base/process-identity.ts",
    find: 'return stat.startTime === identity.startTime ? "alive" : "dead";',
    replace: 'return "alive";',
    tests: locks,
  },
  {
    name: "a run is not locked",
    file: "run/executor.ts",
    find: "const lock = await acquireLock(paths.lock, {",
    replace: "const lock = { release: () => Promise.resolve() }; void ({",
    tests: executor,
  },
  {
    name: "a stage's directory is not locked",
    file: "stages/stage-main.ts",
    find: "    await acquireLock(join(workingDirectory, stageFiles.lock), {",
    replace: "    void ({",
    tests: executor,
  },
  {
    name: "artifacts are reused unverified",
    file: "run/store.ts",
    find: "      verifyDirectorySync(output);",
    replace: "",
    tests: executor,
  },
  {
    name: "a result may be of another artifact",
    file: "run/store.ts",
    find: "if (result?.artifact !== sha256(readFileSync(join(output, MANIFEST_FILE)))) {",
    replace: "if (result === undefined) {",
    tests: storage,
  },
  {
    name: "a stage believes the artifact that it finds",
    file: "stages/run-stage.ts",
    find: '    await verifyDirectory(path("output"));',
    replace: "",
    tests: executor,
  },
  {
    name: "leftovers stay",
    file: "stages/run-stage.ts",
    find: '  await removeLeftovers(path("checkpoints"));',
    replace: "",
    tests: storage,
  },
  {
    name: "inputs are not looked at again",
    file: "stages/run-stage.ts",
    find: "    await inputs.verifyUnchanged();",
    replace: "",
    tests: storage,
  },
  {
    name: "a published output is computed again when its result is missing",
    file: "stages/run-stage.ts",
    find: '  if (readResult(path("pendingResult"), job.fingerprint)) {',
    replace: '  if (readResult(path("pendingResult"), "")) {',
    tests: storage,
  },
  {
    name: "checkpoints are resumed unverified",
    file: "base/checkpoint-directory.ts",
    find: "      verifyDirectorySync(candidate.directory);",
    replace: "",
    tests: interruption,
  },
  {
    name: "only the newest checkpoint is kept",
    file: "stages/checkpoints.ts",
    find: "Math.max(keep, FEWEST_CHECKPOINTS)",
    replace: "1",
    tests: power,
  },
  {
    name: "old checkpoints are removed under their names",
    file: "stages/checkpoints.ts",
    find: "      await renamePath(path, trash);",
    replace: "      await removePath(path);",
    tests: power,
  },
  {
    name: "old checkpoints are removed before their names are",
    file: "stages/checkpoints.ts",
    find: "      await syncPath(directory);",
    replace: "",
    tests: power,
  },
  {
    name: "damaged checkpoints are given up without a word",
    file: "stages/checkpoints.ts",
    find: "if (broken.length > 0 && !checkpoint && !allowRestart) throw nothingLeft(directory, broken);",
    replace: "",
    tests: storage,
  },
];
