// Images and latents as planes, {x, height, width}: x is (C, H, W), as the networks take it.

/** @typedef {{x: Float32Array, height: number, width: number}} Planes */

/**
 * Planes to be filled in.
 * @returns {Planes}
 */
export function blank(channels, height, width) {
  return { x: new Float32Array(channels * height * width), height, width };
}

/**
 * Copy a part of some planes into others.
 * @param {Planes} source
 * @param {[number, number]} from the row and column in the source where the part begins
 * @param {Planes} target
 * @param {[number, number]} to where it goes
 * @param {[number, number]} size its rows and columns
 */
export function copyPart(source, [top, left], target, [row, column], [rows, columns]) {
  const channels = source.x.length / (source.height * source.width);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < rows; i++) {
      const start = (c * source.height + top + i) * source.width + left;
      target.x.set(
        source.x.subarray(start, start + columns),
        (c * target.height + row + i) * target.width + column,
      );
    }
  }
}

/**
 * A part of some planes: what begins at `from`, [row, column], and has a size [rows, columns].
 * @returns {Planes}
 */
export function partOf(source, from, [rows, columns]) {
  const part = blank(source.x.length / (source.height * source.width), rows, columns);
  copyPart(source, from, part, [0, 0], [rows, columns]);
  return part;
}

/**
 * Pad to multiples of the stride by repeating the last row and column, as the model does.
 * @returns {Planes}
 */
export function padded({ x, height, width }, stride) {
  const [rows, columns] = [height, width].map((side) => Math.ceil(side / stride) * stride);
  if (rows === height && columns === width) return { x, height, width };
  const channels = x.length / (height * width);
  const wide = blank(channels, rows, columns);
  for (let c = 0, i = 0; c < channels; c++) {
    for (let row = 0; row < rows; row++) {
      const start = (c * height + Math.min(row, height - 1)) * width;
      for (let column = 0; column < columns; column++) wide.x[i++] = x[start + Math.min(column, width - 1)];
    }
  }
  return wide;
}
