import { expect, test } from "vitest";
import { compileGraph } from "../../src/engine/session.js";
import { add } from "../../src/graph/ops/elementwise.js";
import { input } from "../../src/graph/ops/source.js";

const LENGTH = 4_000_000;

async function sumGraph() {
  const x = input("x", "float32", ["n"]);
  const session = await compileGraph({ outputs: { sum: add(x, x) } }, { threads: 1 });
  return { session, feeds: { x: { data: new Float32Array(LENGTH).fill(1.5), shape: [LENGTH] } } };
}

test("outputs in given buffers are not copied", async () => {
  const { session, feeds } = await sumGraph();
  const sum = { data: new Float32Array(LENGTH), shape: [LENGTH] };
  const before = process.memoryUsage().arrayBuffers;
  await session.run(feeds, { sum }, []);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(LENGTH);
  expect(sum.data.every((value) => value === 3)).toBe(true);
  await session.dispose();
});

test("what goes wrong in a run without copies is told", async () => {
  const { session, feeds } = await sumGraph();
  const short = { data: new Float32Array(3), shape: [3] };
  await expect(session.run(feeds, { sum: short }, [])).rejects.toThrow(/shape/);
  await session.dispose();
});
