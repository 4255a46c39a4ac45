/**
 * @file Pairs, mask counts, likelihood estimates and greedy checks against the reference
 * (golden/likelihood/README.md). Estimates to its relative 1e-5, the rest exact.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTokenizer } from "../../src/data/tokenizer.js";
import { encodePair, type EncodedPair } from "../../src/evaluate/encode-pair.js";
import { greedyMatches } from "../../src/evaluate/greedy-check.js";
import type { LikelihoodNoise } from "../../src/evaluate/likelihood-noise.js";
import { maskCounts } from "../../src/evaluate/mask-counts.js";
import { maskedPositions } from "../../src/evaluate/masked-rows.js";
import { monteCarloLikelihoods, noisedCopies } from "../../src/evaluate/monte-carlo-likelihood.js";
import { parseTokenList } from "../../src/evaluate/parse-token-list.js";
import {
  loadMaskedLm,
  type LogitsInput,
  type MaskedLanguageModel,
} from "../../src/model/masked-lm.js";
import { testEngine } from "../support/engine.js";
import { assetsDirectory, goldenDirectory, printGolden } from "../support/golden.js";
import { torchGenerator } from "../support/torch-random.js";

const LIKELIHOOD_TOLERANCE = 1e-5;

const golden = goldenDirectory();
const assets = assetsDirectory();
const available = golden !== undefined && existsSync(join(golden, "likelihood"));
if (golden !== undefined && !available) console.warn(`skipped: ${golden}/likelihood is absent`);

const text = (name: string): string => readFileSync(join(golden!, "likelihood", name), "utf8");
const json = <T>(name: string): T => JSON.parse(text(name)) as T;
const lines = <T>(name: string): T[] =>
  text(name)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

const tokenizerFolders = {
  modernbert: "tokenizer-modernbert",
  bert: "tokenizer-bert-base-uncased",
  roberta: "tokenizer-roberta-base",
} as const;
type Family = keyof typeof tokenizerFolders;
const families = Object.keys(tokenizerFolders) as Family[];

describe.skipIf(!available)("golden token lists and mask counts", () => {
  test("token lists", () => {
    const rows = json<{ in: unknown; out: number[] }[]>("parse_token_list.json");
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.map((row) => parseTokenList(row.in))).toEqual(rows.map(({ out }) => out));
    printGolden("likelihood, token lists", rows.length);
  });

  test("stratified mask counts", () => {
    type Row = [targetLength: number, strata: number, first: number, counts: number[]];
    const { rows } = json<{ rows: Row[] }>("mask_counts.json");
    expect(rows.length).toBeGreaterThan(100);
    expect(rows.map(([n, strata, first]) => maskCounts(n, strata, first))).toEqual(
      rows.map(([, , , counts]) => counts),
    );
    printGolden("likelihood, mask counts", rows.length);
  });
});

interface PairRow {
  i: number;
  context: string;
  continuation: string;
}

describe.skipIf(!available || assets === undefined)("golden pairs", () => {
  test.each(families)("%s", async (family) => {
    const tokenizer = await loadTokenizer(join(assets!, tokenizerFolders[family]));
    const pairs = lines<PairRow>("pairs.jsonl");
    const wanted = lines<EncodedPair & { i: number }>(`${family}.encode_pair.jsonl`);
    expect(wanted.length).toBeGreaterThan(100);
    expect(wanted.length).toBe(pairs.length);
    expect(
      pairs.map((pair) => ({ i: pair.i, ...encodePair(tokenizer, pair, "faithful") })),
    ).toEqual(wanted);
    printGolden(`pairs ${family}`, wanted.length);
  });
});

interface Iteration {
  k: number;
  perms: number[][];
  x: number[];
  masked: number[][];
  p_mask: number[];
}
interface LikelihoodCase extends EncodedPair {
  batch_size: number;
  mc_num: number;
  random: "given" | "mask_in_target" | `torch:${number}`;
  iterations: Iteration[];
  loglikelihood: number;
  is_greedy: boolean;
}
interface GreedyCase extends EncodedPair {
  is_greedy: boolean;
  /** Where it is true. */
  frames?: number[][];
}
interface LikelihoodGolden {
  mask_id: number;
  cases: LikelihoodCase[];
  greedy: GreedyCase[];
}

/** The draws of some cases, request r being case r: listed, or drawn again by PyTorch's generator. */
function noiseOf(cases: readonly LikelihoodCase[]): LikelihoodNoise {
  const generators = cases.map(({ random }) =>
    random.startsWith("torch:") ? torchGenerator(Number(random.slice("torch:".length))) : undefined,
  );
  return {
    maskCount(request, iteration, n) {
      const generator = generators[request];
      return generator ? 1 + generator.below(n) : cases[request]!.iterations[iteration]!.k;
    },
    permutation(request, copy, n) {
      const { batch_size: strata, iterations } = cases[request]!;
      const listed = iterations[Math.floor(copy / strata)]!.perms[copy % strata]!;
      return generators[request]?.permutation(n) ?? listed;
    },
  };
}

const name = ({ prefix, target, batch_size, mc_num, random }: LikelihoodCase): string =>
  `${prefix.length} + ${target.length} tokens, ${mc_num} copies by ${batch_size}, ${random}`;

describe.each(families)("golden likelihood %s", (family) => {
  const folder = join(golden ?? "", "models", family);
  if (!available || !existsSync(folder)) {
    test.skip("golden values are absent", () => undefined);
    return;
  }
  const { mask_id: maskId, cases, greedy } = json<LikelihoodGolden>(`${family}.mc.json`);
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as {
    pad_token_id: number;
  };
  const padId = config.pad_token_id;
  let model: MaskedLanguageModel;
  let copies = 0;
  let compared = 0;
  let worst = 0;
  beforeAll(async () => {
    model = await loadMaskedLm(folder, testEngine);
  });
  afterAll(async () => {
    await model.dispose();
    printGolden(`likelihood ${family}, noised copies`, copies);
    printGolden(`likelihood ${family}, relative`, compared, worst);
  });

  const settingsOf = (some: readonly LikelihoodCase[]) => ({
    maskId,
    padId,
    mcNum: some[0]!.mc_num,
    strata: some[0]!.batch_size,
    noise: noiseOf(some),
  });
  const estimate = (some: readonly LikelihoodCase[], batchSize: number) =>
    monteCarloLikelihoods({ ...settingsOf(some), model, batchSize, requests: some });
  const compare = (found: readonly number[], some: readonly LikelihoodCase[]): void => {
    expect(found).toHaveLength(some.length);
    some.forEach(({ loglikelihood }, i) => {
      const difference = Math.abs(found[i]! / loglikelihood - 1);
      expect(difference).toBeLessThan(LIKELIHOOD_TOLERANCE);
      worst = Math.max(worst, difference);
      compared++;
    });
  };

  test("there are cases", () => {
    expect(cases.length).toBeGreaterThan(5);
    expect(greedy.length).toBeGreaterThan(5);
  });

  test.each(cases.map((given) => ({ name: name(given), given })))("$name", async ({ given }) => {
    const drawn = noisedCopies(settingsOf([given]), 0, given);
    const expected = given.iterations.flatMap(({ x, masked, p_mask }) =>
      x.map((count, row) => ({ count, masked: masked[row], ratio: Math.fround(p_mask[row]!) })),
    );
    expect(
      drawn.map(({ ids, maskRatio }) => ({
        count: Math.round(maskRatio * given.target.length),
        masked: [...maskedPositions(ids, maskId)],
        ratio: Math.fround(maskRatio),
      })),
    ).toEqual(expected);
    copies += drawn.length;
    compare(await estimate([given], given.batch_size), [given]);
  });

  test("cases in one call, in forward passes that pad", async () => {
    const alike = cases.filter(
      ({ batch_size, mc_num }) =>
        batch_size === cases[0]!.batch_size && mc_num === cases[0]!.mc_num,
    );
    expect(new Set(alike.map(({ target }) => target.length)).size).toBeGreaterThan(1);
    compare(await estimate(alike, 5), alike);
  });

  test("greedy checks and their frames", async () => {
    for (const given of greedy) {
      const requests: LogitsInput[] = [];
      const watched: MaskedLanguageModel = {
        ...model,
        predict(request) {
          requests.push({ ...request, inputIds: request.inputIds.slice() });
          return model.predict(request);
        },
      };
      const inputs = { model: watched, maskId, padId, batchSize: 1, requests: [given] };
      expect(await greedyMatches(inputs)).toEqual([given.is_greedy]);
      if (given.is_greedy) {
        expect(requests.map(({ inputIds }) => [...inputIds])).toEqual(given.frames);
      }
    }
    const all: readonly GreedyCase[] = [...greedy, ...cases];
    const inputs = { model, maskId, padId, batchSize: 7, requests: all };
    expect(await greedyMatches(inputs)).toEqual(all.map(({ is_greedy }) => is_greedy));
    printGolden(`greedy checks ${family}`, all.length);
  });
});
