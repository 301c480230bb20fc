// The model as the page uses it: images in, posteriors and pictures out, for any β and any number of images at once.
// Letters: B batch, C, H, W image, Z latents, h, w places of a spatial model.

import { distortionOf, klOfEach, pictureOf, psnrOf, total } from "./numbers.js";
import { normals } from "./noise.js";
import { padded, partOf } from "./planes.js";

const PAIRS = 8; // draws of z come as ε and −ε, which makes their mean more exact
const SEED = 1;

/**
 * An image for the model.
 * @typedef {{x: Float32Array, height: number, width: number, title: string, index: number | null}} Picture
 * x is (C, H, W) in the data range; index is its number among the page's images, or null for one's own. One that was
 * scaled down also has `full`: {height, width, load}, the size that it can be computed at, and a function that gives it.
 */

export class Vae {
  /**
   * @param {object} model model.json
   * @param {import("./engine.js").Engine} engine
   */
  constructor(model, engine) {
    this.model = model;
    this.engine = engine;
    this.channels = model.input_shape[0];
  }

  /** Whether a latent stands for a place in the image, so that images may have any size. */
  get spatial() {
    return this.model.spatial;
  }

  /** The shape of the latents of an image: [Z], or [Z, h, w]. */
  latentShape(height, width) {
    const { stride, latent_dim: latents } = this.model;
    return this.spatial ? [latents, Math.ceil(height / stride), Math.ceil(width / stride)] : [latents];
  }

  /**
   * Encode one image at each of some β.
   * @returns {Promise<{mean: Float32Array, logVar: Float32Array}[]>} one posterior for each β
   */
  async encode(image, betas) {
    const { x, height, width } = this.spatial ? padded(image, this.model.stride) : image;
    const { mean, log_var: logVar } = await this.engine.run("encoder", {
      x: { data: stacked(betas.map(() => x)), dims: [betas.length, this.channels, height, width] },
      beta: { data: Float32Array.from(betas), dims: [betas.length] },
    });
    const logVars = split(logVar.data, betas.length);
    return split(mean.data, betas.length).map((each, i) => ({ mean: each, logVar: logVars[i] }));
  }

  /**
   * Decode latents.
   * @param {Float32Array[]} latents one z for each image
   * @param {number[]} betas one β for each image
   * @returns {Promise<Float32Array[]>} logits or the unclamped mean, (C, H, W) of each
   */
  async decode(latents, betas, height, width) {
    const shape = this.latentShape(height, width);
    const { output } = await this.engine.run("decoder", {
      z: { data: stacked(latents), dims: [latents.length, ...shape] },
      beta: { data: Float32Array.from(betas), dims: [betas.length] },
    });
    const [, , rows, columns] = output.dims;
    return split(output.data, latents.length).map((each) =>
      rows === height && columns === width
        ? each
        : partOf({ x: each, height: rows, width: columns }, [0, 0], [height, width]).x,
    );
  }

  /** Decode latents as pictures in the data range. */
  async draw(latents, betas, height, width) {
    return (await this.decode(latents, betas, height, width)).map((output) => pictureOf(output, this.model));
  }

  /**
   * Everything that the page shows of an image at a β. The picture decodes the mean of the posterior; `distortion` is
   * the mean over a few draws from it, the same ones at every β.
   * @param {Picture} image
   * @param {number} beta
   * @param {(partial: object) => boolean} [onPicture] called with the result so far, once the picture is there and the
   *   draws are still to come; answers whether to go on
   * @returns {Promise<object | undefined>}
   */
  async measure(image, beta, onPicture = () => true) {
    const started = performance.now();
    const { x, height, width } = image;
    const [posterior] = await this.encode(image, [beta]);
    const draws = this.#draws(posterior);
    // Images of any size take long: the picture first. Small ones take a moment, all in one go.
    const first = this.spatial ? [posterior.mean] : [posterior.mean, ...draws];
    let outputs = await this.decode(
      first,
      first.map(() => beta),
      height,
      width,
    );
    const result = this.describe(image, beta, posterior, outputs[0]);
    if (this.spatial) {
      result.pictureMilliseconds = performance.now() - started;
      if (!onPicture(result)) return undefined;
      outputs = [
        outputs[0],
        ...(await this.decode(
          draws,
          draws.map(() => beta),
          height,
          width,
        )),
      ];
    }
    const distortions = outputs.slice(1).map((output) => distortionOf(output, x, this.model));
    result.distortion = total(distortions) / distortions.length;
    result.loss = result.distortion + beta * result.rate;
    result.milliseconds = performance.now() - started;
    return result;
  }

  /** What a posterior and the output of the decoder for its mean say of an image. */
  describe(image, beta, posterior, output) {
    const { x, height, width } = image;
    const { likelihood, latent_dim: latents, data_range: range } = this.model;
    const rate = total(klOfEach(posterior, latents));
    const result = { image, x, beta, rate, ...posterior, reconstruction: pictureOf(output, this.model) };
    result.distortionOfMean = distortionOf(output, x, this.model);
    if (range && likelihood === "gaussian") result.psnr = psnrOf(result.reconstruction, x, range);
    result.bitsPerPixel = rate / Math.LN2 / (height * width);
    return result;
  }

  /** Draws from a posterior, the same ones at every β. Few for large images, whose many places even out. */
  #draws({ mean, logVar }) {
    const pairs = this.spatial ? 1 : PAIRS;
    const noise = balanced(split(normals(SEED, mean.length * pairs), pairs), this.model.latent_dim);
    return noise
      .flatMap((each) => [each, each.map((value) => -value)])
      .map((each) => mean.map((value, i) => value + Math.exp(0.5 * logVar[i]) * each[i]));
  }
}

/** Scale noise so that the mean square of each latent, over draws and places, is 1: few draws then do for many. */
function balanced(noise, latents) {
  const places = noise[0].length / latents;
  const squares = new Float64Array(latents);
  for (const each of noise) each.forEach((value, i) => (squares[Math.floor(i / places)] += value ** 2));
  const scale = squares.map((square) => Math.sqrt((noise.length * places) / square));
  return noise.map((each) => each.map((value, i) => value * scale[Math.floor(i / places)]));
}

/** Join arrays of one length. */
export function stacked(arrays) {
  const length = arrays[0].length;
  const joined = new Float32Array(arrays.length * length);
  arrays.forEach((array, i) => joined.set(array, i * length));
  return joined;
}

/** Cut an array into parts of one length. */
export function split(array, parts) {
  const length = array.length / parts;
  return Array.from({ length: parts }, (_, i) => array.slice(i * length, (i + 1) * length));
}
