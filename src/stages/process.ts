/** @file The process of one stage: `node dist/stages/process.js <working directory>`. */
import { ExitCode } from "../base/errors.js";
import { stageRegistry } from "./registry.js";
import { stageMain } from "./stage-main.js";

const workingDirectory = process.argv[2];
if (workingDirectory === undefined) {
  console.error("usage: node dist/stages/process.js <working directory>");
  process.exit(ExitCode.usage);
}
await stageMain(workingDirectory, stageRegistry);
