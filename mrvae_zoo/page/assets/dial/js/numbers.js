// Rate, distortion and what follows from them, in float64. Everything in nats per image, unless a name says otherwise.

/**
 * KL(q(z|x) ‖ N(0, I)) of each latent; places of a spatial model are added up.
 * @param {{mean: Float32Array, logVar: Float32Array}} posterior of one image, latent by latent
 * @param {number} latents
 * @returns {Float64Array}
 */
export function klOfEach({ mean, logVar }, latents) {
  const places = mean.length / latents;
  const kl = new Float64Array(latents);
  for (let i = 0; i < mean.length; i++) {
    // expm1(s) − s instead of exp(s) − 1 − s: exact near the prior, where latents that are not used lie.
    kl[Math.floor(i / places)] += 0.5 * (mean[i] * mean[i] + Math.expm1(logVar[i]) - logVar[i]);
  }
  return kl;
}

/**
 * −log p(x|z) of one image.
 * @param {Float32Array} output of the decoder: logits for "bernoulli", the unclamped mean for "gaussian"
 * @param {Float32Array} x the image, in the model's data range
 * @param {{likelihood: string, sigma: number | null}} model
 */
export function distortionOf(output, x, { likelihood, sigma }) {
  return likelihood === "bernoulli" ? crossEntropy(output, x) : squaredError(output, x) / (2 * sigma * sigma);
}

/** Cross-entropy of x in [0, 1] under Bernoulli pixels with these logits. */
function crossEntropy(logits, x) {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const logit = logits[i];
    sum += Math.max(logit, 0) - logit * x[i] + Math.log1p(Math.exp(-Math.abs(logit)));
  }
  return sum;
}

function squaredError(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

/** Peak signal-to-noise ratio in dB of two pictures in a range (low, high). */
export function psnrOf(a, b, [low, high]) {
  return psnrOfError(squaredError(a, b) / a.length, high - low);
}

/** Peak signal-to-noise ratio in dB of a mean squared error. */
export function psnrOfError(error, peak) {
  return 10 * Math.log10((peak * peak) / error);
}

/** The picture that an output of the decoder stands for: the mean of p(x|z), clamped to the data range. */
export function pictureOf(output, { likelihood, data_range: range }) {
  if (likelihood === "bernoulli") return output.map((logit) => 1 / (1 + Math.exp(-logit)));
  return range === null ? output : output.map((value) => Math.min(Math.max(value, range[0]), range[1]));
}

/** Sum of numbers. */
export function total(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

/** `count` values from low to high in equal ratios, ends included. */
export function logSpaced(low, high, count) {
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? high : low * (high / low) ** (i / (count - 1))));
}

/** β as the page offers it: three significant digits, within the range. */
export function snapped(beta, [low, high]) {
  return Math.min(Math.max(Number(beta.toPrecision(3)), low), high);
}
