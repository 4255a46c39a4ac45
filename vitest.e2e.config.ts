import { defineConfig } from "vitest/config";

/** Slow suites that run the built command as a user would, one after the other. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.e2e.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 1_500_000,
  },
});
