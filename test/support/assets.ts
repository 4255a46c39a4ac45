/** @file Real data beside the repository, for tests that need it: absent, they skip and say so. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";

export const assetsDirectory = resolve(process.env.DLLM_ASSETS_DIR ?? "../shared/assets");
export const hasAssets = existsSync(assetsDirectory);
if (!hasAssets) console.warn(`skipped: no real data in ${assetsDirectory}`);
