// Pictures on canvases.

const dark = matchMedia("(prefers-color-scheme: dark)");
const repaints = new Map(); // canvas -> how to paint it again when the colours of the page change

dark.addEventListener("change", () => repaints.forEach((paint) => paint()));

/** Paint an image (C, H, W) in a data range; null is [0, 1]. */
export function paintPicture(canvas, values, { height, width }, range) {
  const [low, high] = range ?? [0, 1];
  const length = height * width;
  const channels = values.length / length;
  const at = (c, i) => (255 * (values[(channels < 3 ? 0 : c) * length + i] - low)) / (high - low);
  paint(canvas, height, width, (pixels, i) => {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = at(c, i) + 0.5; // a clamped array takes care of the ends
  });
}

/**
 * Paint a − b: where a is brighter in one colour, where it is darker in the other, and paper where they agree.
 * @param {number} limit the difference of full colour, as a share of the data range
 */
export function paintDifference(canvas, a, b, size, range, limit) {
  const [low, high] = range ?? [0, 1];
  const length = size.height * size.width;
  const channels = a.length / length;
  const again = () => {
    const { paper, above, below } = coloursOf(canvas);
    paint(canvas, size.height, size.width, (pixels, i) => {
      let difference = 0;
      for (let c = 0; c < channels; c++) difference += a[c * length + i] - b[c * length + i];
      const share = difference / channels / (high - low) / limit;
      const end = share > 0 ? above : below;
      const strength = Math.min(Math.abs(share), 1);
      for (let c = 0; c < 3; c++) pixels[4 * i + c] = paper[c] + (end[c] - paper[c]) * strength;
    });
  };
  repaints.set(canvas, again);
  again();
}

function paint(canvas, height, width, fill) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    fill(image.data, i);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** The colours of the page, as numbers. */
function coloursOf(canvas) {
  const style = getComputedStyle(canvas);
  const colour = (name) =>
    style
      .getPropertyValue(name)
      .match(/[0-9a-f]{2}/gi)
      .map((pair) => parseInt(pair, 16));
  return { paper: colour("--surface"), above: colour("--accent"), below: colour("--below") };
}
