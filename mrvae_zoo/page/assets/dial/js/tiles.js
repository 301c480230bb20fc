// A large image through a spatial model, tile by tile, as mrvae_zoo/inference/tiling.py does it: a tile is computed
// together with a margin as wide as the network's field of view, which is then cut off. So there are no seams.

import { blank, copyPart, padded, partOf } from "./planes.js";

/**
 * The tiles of an image, in places of the latents.
 * @param {{height: number, width: number}} size of the image in pixels
 * @param {object} model model.json
 * @returns {{at: number[], size: number[], from: number[], around: number[]}[]} [row, column] where the tile goes, and its
 *   [rows, columns]; the same of what is computed, which has the margin too
 */
export function tilesOf({ height, width }, { stride, limits: { tile, margin } }) {
  const ends = [height, width].map((side) => Math.ceil(side / stride));
  const [step, reach] = [tile / stride, margin / stride];
  const tiles = [];
  for (let top = 0; top < ends[0]; top += step) {
    for (let left = 0; left < ends[1]; left += step) {
      const at = [top, left];
      const size = at.map((start, i) => Math.min(step, ends[i] - start));
      const from = at.map((start) => Math.max(0, start - reach));
      const around = from.map((start, i) => Math.min(at[i] + size[i] + reach, ends[i]) - start);
      tiles.push({ at, size, from, around });
    }
  }
  return tiles;
}

/** How many pixels are computed for an image, those of the margins included. */
export function pixelsOfTiles(size, model) {
  return tilesOf(size, model).reduce((sum, { around: [rows, columns] }) => sum + rows * columns, 0) * model.stride ** 2;
}

/**
 * Measure an image at a β without draws from the posterior: the distortion is that of the picture.
 * @param {import("./vae.js").Vae} vae
 * @param {import("./vae.js").Picture} image
 * @param {number} beta
 * @param {(number: number, count: number) => boolean} onTile called before each tile is encoded or decoded, with its
 *   number from 1; answers whether to go on
 * @returns {Promise<object | undefined>} what `vae.measure` gives before its draws, and `milliseconds`
 */
export async function measureTiled(vae, image, beta, onTile) {
  const started = performance.now();
  const { stride, latent_dim: latents } = vae.model;
  const inPixels = (places) => places.map((place) => place * stride);
  const tiles = tilesOf(image, vae.model);
  const whole = padded(image, stride);
  const output = blank(vae.channels, whole.height, whole.width);
  const [mean, logVar] = [0, 1].map(() => blank(latents, whole.height / stride, whole.width / stride));

  /** Put a tile into its place; `unit` is what a place is wide. */
  const place = (x, target, { at, size, from, around: [rows, columns] }, unit) => {
    const inner = at.map((start, i) => (start - from[i]) * unit);
    const part = { x, height: rows * unit, width: columns * unit };
    copyPart(
      part,
      inner,
      target,
      at.map((start) => start * unit),
      size.map((side) => side * unit),
    );
  };

  let number = 0;
  for (const tile of tiles) {
    if (!onTile(++number, 2 * tiles.length)) return undefined;
    const [posterior] = await vae.encode(partOf(whole, inPixels(tile.from), inPixels(tile.around)), [beta]);
    place(posterior.mean, mean, tile, 1);
    place(posterior.logVar, logVar, tile, 1);
  }
  for (const tile of tiles) {
    if (!onTile(++number, 2 * tiles.length)) return undefined;
    const z = partOf(mean, tile.from, tile.around).x;
    const [decoded] = await vae.decode([z], [beta], ...inPixels(tile.around));
    place(decoded, output, tile, stride);
  }
  const decoded = partOf(output, [0, 0], [image.height, image.width]).x;
  const result = vae.describe(image, beta, { mean: mean.x, logVar: logVar.x }, decoded);
  return { ...result, milliseconds: performance.now() - started };
}
