import { defineConfig } from "vitest/config";
import { mutationPlugins } from "./test/support/mutation.js";

export default defineConfig({
  plugins: mutationPlugins(),
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/golden-table.ts"],
    pool: "forks",
    maxWorkers: 2,
    minWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
