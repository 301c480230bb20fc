// What the rate-distortion curve of a model is drawn in: nats per image, or bits per pixel and dB for images of any size.

import { psnrOfError } from "./numbers.js";

/** The axes of a chart; see chart.js. Points have beta, rate, distortion and pixels. */
export function axesOf(model) {
  if (!model.spatial) {
    return {
      x: { title: "Rate, nats per image", of: ({ rate }) => rate, fromZero: true },
      y: { title: "Distortion, nats per image", of: ({ distortion }) => distortion, fromZero: true },
      slope: true,
    };
  }
  const x = { title: "Rate, bits per pixel", of: ({ rate, pixels }) => rate / Math.LN2 / pixels, fromZero: true };
  if (model.likelihood !== "gaussian" || model.data_range === null) {
    const y = {
      title: "Distortion, nats per pixel",
      of: ({ distortion, pixels }) => distortion / pixels,
      fromZero: true,
    };
    return { x, y, slope: false };
  }
  const [low, high] = model.data_range;
  const values = model.input_shape[0];
  const errorOf = ({ distortion, pixels }) => (2 * model.sigma ** 2 * distortion) / (values * pixels);
  return {
    x,
    y: { title: "Fidelity (PSNR), dB", of: (point) => psnrOfError(errorOf(point), high - low), fromZero: false },
    slope: false,
  };
}

/** The points of the curve that was measured on the model's data; none if it does not say of how many pixels. */
export function publishedPoints(model) {
  const {
    curve,
    spatial,
    input_shape: [, height, width],
  } = model;
  const pixels = spatial ? curve?.pixels : height * width;
  if (!curve || !pixels) return [];
  return curve.betas.map((beta, i) => ({ beta, rate: curve.rates[i], distortion: curve.distortions[i], pixels }));
}
