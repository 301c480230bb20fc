// The Gaussian mixtures that were fitted to the aggregated posterior, one for each of several β
// (mrvae_zoo/models/sampler.py says what is in the file).

import { parseSafetensors } from "./safetensors.js";

/**
 * Read the mixtures.
 * @param {Uint8Array} bytes of sampler.safetensors
 * @returns {{beta: number, weights: Float32Array, means: Float32Array, cholesky: Float32Array}[]}
 */
export function parseMixtures(bytes) {
  const tensors = parseSafetensors(bytes);
  return [...tensors.betas.data].map((beta, i) => ({
    beta,
    weights: tensors[`weights.${i}`].data,
    means: tensors[`means.${i}`].data,
    cholesky: tensors[`cholesky.${i}`].data,
  }));
}

/** The mixture of the fitted β that is nearest in log β. */
export function nearestMixture(mixtures, beta) {
  const distance = (mixture) => Math.abs(Math.log(mixture.beta / beta));
  return mixtures.reduce((a, b) => (distance(b) < distance(a) ? b : a));
}

/** Turn a uniform number, which chooses a component, and normal noise (Z,) into a draw (Z,). */
export function placed({ weights, means, cholesky }, uniform, noise) {
  const latents = noise.length;
  let component = 0;
  for (let edge = weights[0]; component < weights.length - 1 && uniform >= edge; edge += weights[component])
    component++;
  let factor = (component * latents * (latents + 1)) / 2; // rows up to their diagonal, one after the other
  return noise.map((_, row) => {
    let value = means[component * latents + row];
    for (let column = 0; column <= row; column++) value += cholesky[factor++] * noise[column];
    return value;
  });
}
