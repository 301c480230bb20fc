// Images of any kind -> what the model takes, as model.preprocess does it in Python (mrvae_zoo/common/images.py).

import { PageError } from "./download.js";

const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601, as Pillow's "L"
const LARGEST = 2048 ** 2; // pixels that are decoded; a larger image is scaled down while it is decoded

/**
 * Read an image file, upright and laid on white, as RGB.
 * @param {Blob} file
 * @returns {Promise<{pixels: ImageData, size: [number, number]}>} `size` is the width and height of the file's image
 */
export async function readImage(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new PageError(
      `${file.name || "This"} is not an image that the browser can read. Use a PNG, JPEG or WebP file.`,
    );
  }
  const { height, width } = bitmap;
  const [rows, columns] = fitted([height, width], LARGEST);
  return { pixels: pixelsOf(bitmap, columns, rows), size: [width, height] };
}

/** The pixels of something drawable, at a size, laid on white. */
export function pixelsOf(source, width, height) {
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/**
 * Convert pixels for the model. For a model with a size of its own, the centre of the image with the proportions of
 * that size; for one that takes any size, the whole image, scaled down to at most `most` pixels.
 * @param {ImageData} image
 * @param {object} model model.json
 * @param {number} [most]
 * @returns {{x: Float32Array, height: number, width: number}}
 */
export function preprocess(image, model, most = Infinity) {
  const [channels, ownHeight, ownWidth] = model.input_shape;
  const [low, high] = model.data_range ?? [0, 1];
  let planes = planesOf(image, channels);
  let { height, width } = image;
  let target = [ownHeight, ownWidth];
  if (ownHeight === null) {
    target = fitted([height, width], most);
  } else {
    ({ planes, height, width } = centred(planes, height, width, ownHeight / ownWidth));
  }
  if (height !== target[0] || width !== target[1])
    planes = planes.map((plane) => resized(plane, [height, width], target));
  const length = target[0] * target[1];
  const x = new Float32Array(planes.length * length);
  planes.forEach((plane, c) => {
    for (let i = 0; i < length; i++) x[c * length + i] = low + (high - low) * plane[i];
  });
  return { x, height: target[0], width: target[1] };
}

/** The size [height, width] of an image, scaled down to at most `most` pixels if it has more. */
export function fitted([height, width], most) {
  const scale = Math.min(1, Math.sqrt(most / (height * width)));
  return [height, width].map((side) => (scale === 1 ? side : Math.max(1, Math.floor(side * scale))));
}

/** The channels of an image in [0, 1]: grey, or red, green and blue. */
function planesOf({ data, width, height }, channels) {
  const length = width * height;
  const planes = Array.from({ length: channels }, () => new Float32Array(length));
  for (let i = 0; i < length; i++) {
    const red = data[4 * i];
    const green = data[4 * i + 1];
    const blue = data[4 * i + 2];
    if (channels === 1) {
      const isGrey = red === green && red === blue; // then the sum would round
      planes[0][i] = (isGrey ? red : LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue) / 255;
    } else {
      planes[0][i] = red / 255;
      planes[1][i] = green / 255;
      planes[2][i] = blue / 255;
    }
  }
  return planes;
}

/** Cut out the largest centred part with a ratio of height to width. */
function centred(planes, height, width, ratio) {
  const rows = Math.min(height, Math.round(width * ratio) || 1);
  const columns = Math.min(width, Math.round(height / ratio) || 1);
  const [top, left] = [Math.floor((height - rows) / 2), Math.floor((width - columns) / 2)];
  const cut = (plane) => {
    const part = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      const start = (top + row) * width + left;
      part.set(plane.subarray(start, start + columns), row * columns);
    }
    return part;
  };
  return { planes: planes.map(cut), height: rows, width: columns };
}

/** Resize one channel, bicubic and antialiased as torch's interpolate: columns first, then rows. */
export function resized(plane, [height, width], [rows, columns]) {
  const across = weightsOf(width, columns);
  const down = weightsOf(height, rows);
  const half = new Float32Array(height * columns);
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < columns; column++, i++) {
      const { first, weights } = across[column];
      const start = row * width + first;
      let sum = 0;
      for (let j = 0; j < weights.length; j++) sum += plane[start + j] * weights[j];
      half[i] = sum;
    }
  }
  const whole = new Float32Array(rows * columns);
  for (let row = 0, i = 0; row < rows; row++) {
    const { first, weights } = down[row];
    for (let column = 0; column < columns; column++, i++) {
      let sum = 0;
      for (let j = 0, at = first * columns + column; j < weights.length; j++, at += columns)
        sum += half[at] * weights[j];
      whole[i] = Math.min(Math.max(sum, 0), 1);
    }
  }
  return whole;
}

/** For each pixel of the result: the first pixel that it is made of, and the weights of that one and the next. */
function weightsOf(from, to) {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = scale * (i + 0.5);
    const first = Math.max(Math.trunc(centre - 2 * stretch + 0.5), 0);
    const end = Math.min(Math.trunc(centre + 2 * stretch + 0.5), from);
    const weights = Array.from({ length: end - first }, (_, j) => cubic((first + j - centre + 0.5) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** The cubic kernel with a = −½. */
function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}
