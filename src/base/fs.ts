/**
 * @file The one door to writing: no other module imports the writing functions of `node:fs`
 * (a test checks). What is published is published by a rename; see manifest.ts and files.ts.
 */
export {
  appendFile,
  ioError,
  linkAtomic,
  makeDirectory,
  makeUserDirectory,
  openForAppending,
  readJson,
  removePath,
  renamePath,
  sha256,
  setMode,
  sha256File,
  syncPath,
  temporaryPath,
  trashPath,
  writeDisposable,
  writeFile,
  writeFileAtomic,
  writeJson,
  writeUserFile,
  type AppendFile,
  type FileData,
} from "./files.js";
export {
  MANIFEST_FILE,
  publishDirectory,
  readManifest,
  verifyDirectory,
  verifyDirectorySync,
  type Manifest,
  type ManifestEntry,
  type VerifyOptions,
} from "./manifest.js";
