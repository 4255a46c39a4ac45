import { expect, test } from "vitest";
import { randomStream } from "../../src/base/random.js";
import { neededIds, topologicalOrder } from "../../src/plan/dag.js";

const stage = (id: string, ...needs: string[]) => ({
  id,
  inputs: Object.fromEntries(needs.map((need, i) => [`in${i}`, need])),
});
const ids = (stages: readonly { id: string }[]) => stages.map(({ id }) => id);

test("stages come after their inputs, otherwise in the order given", () => {
  expect(
    ids(topologicalOrder([stage("c", "a", "b"), stage("b"), stage("a", "b"), stage("d")])),
  ).toEqual(["b", "a", "c", "d"]);
  expect(ids(topologicalOrder([stage("a"), stage("b"), stage("c")]))).toEqual(["a", "b", "c"]);
});

test("random graphs: a permutation in which every input comes first", () => {
  const stream = randomStream({ seed: 2, purpose: "order" });
  for (let round = 0; round < 100; round++) {
    const size = 1 + stream.below(20);
    const stages = Array.from({ length: size }, (_, i) =>
      stage(
        `s${i}`,
        ...Array.from({ length: i === 0 ? 0 : stream.below(4) }, () => `s${stream.below(i)}`),
      ),
    ).sort(() => stream.below(3) - 1);
    const ordered = topologicalOrder(stages);
    expect(ids(ordered).sort()).toEqual(ids(stages).sort());
    for (const [position, { inputs }] of ordered.entries()) {
      for (const id of neededIds({ inputs })) {
        expect(ids(ordered).indexOf(id)).toBeLessThan(position);
      }
    }
  }
});

test("a circle is named along its path, even a very long one", () => {
  expect(() =>
    topologicalOrder([stage("x", "a"), stage("a", "b"), stage("b", "c"), stage("c", "a")]),
  ).toThrow("stages need each other in a circle: a -> b -> c -> a");
  expect(() => topologicalOrder([stage("a", "a")])).toThrow("in a circle: a -> a");
  const long = Array.from({ length: 50_000 }, (_, i) => stage(`s${i}`, `s${(i + 1) % 50_000}`));
  expect(() => topologicalOrder(long)).toThrow("in a circle: s0 -> s1 -> ");
});

test("an absent input and a repeated id are named", () => {
  expect(() => topologicalOrder([stage("a", "b")])).toThrow(
    "stage a has no input in0: there is no stage b",
  );
  expect(() => topologicalOrder([stage("a"), stage("a")])).toThrow("stage a is there twice");
});
