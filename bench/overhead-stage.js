/** The process of a trivial stage: `node bench/overhead-stage.js <working directory>`. */
import { join } from "node:path";
import { writeFile } from "../dist/base/fs.js";
import { stageMain } from "../dist/stages/stage-main.js";

const run = async ({ outputDirectory }) => {
  await writeFile(join(outputDirectory, "out.txt"), "done\n");
  return {};
};
const trivial = async () => ({ run });
const kinds = ["prepare", "pretrain", "sft", "eval", "export"];
await stageMain(process.argv[2], Object.fromEntries(kinds.map((kind) => [kind, trivial])));
