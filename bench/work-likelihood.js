/** @file Our side of likelihood evaluation: the choices of one question. */
import { seededLikelihoodNoise } from "../dist/evaluate/likelihood-noise.js";
import { monteCarloLikelihoods } from "../dist/evaluate/monte-carlo-likelihood.js";
import { loadMaskedLm } from "../dist/model/masked-lm.js";

/** Returns one repetition: a question. */
export function prepare({ ids, requests, mcNum }, { mode, threads, files }) {
  const loading = loadMaskedLm(files.model, { threads, precision: mode });
  return async () => {
    const model = await loading;
    const noise = seededLikelihoodNoise({ seed: 1 });
    const estimate = { model, requests, noise, mcNum, strata: mcNum, batchSize: 8 };
    const values = await monteCarloLikelihoods({
      ...estimate,
      maskId: ids.maskId,
      padId: ids.eosId,
    });
    return { values };
  };
}
