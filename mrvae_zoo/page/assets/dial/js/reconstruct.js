// The first tab: image, reconstruction, difference, and the curve.

import { axesOf, publishedPoints } from "./axes.js";
import { Chart } from "./chart.js";
import { byId } from "./dom.js";
import { formatNumber } from "./format.js";
import { logSpaced, snapped } from "./numbers.js";
import { paintDifference, paintPicture } from "./paint.js";

const POINTS = 15; // of the curve of an image

/**
 * Make the tab.
 * @param {import("./page.js").Page} page
 */
export function makeReconstruct(page) {
  const { model, state, scheduler } = page;
  const limit = model.spatial ? 0.25 : model.likelihood === "bernoulli" ? 1 : 0.5;
  const chart = model.folded
    ? null
    : new Chart(byId("chart"), axesOf(model), (beta) => state.set({ beta: snapped(beta, model.beta_range) }));
  const input = byId("draw") ?? byId("input");
  byId("darker").textContent = `darker, −${limit}`;
  byId("brighter").textContent = `brighter, +${limit}`;
  byId("curve").hidden = model.folded;
  chart?.show({ published: publishedPoints(model) });
  byId("published-key").hidden = publishedPoints(model).length === 0;
  byId("published-name").textContent = model.curve ? `mean over the ${model.curve.data} set` : "";

  let measured = []; // points of this image's own curve, as they come
  const pointOf = ({ beta, rate, distortion, image: { width, height } }) => ({
    beta,
    rate,
    distortion,
    pixels: width * height,
  });

  /** Measure the curve of the image, coarsely first, whenever there is nothing else to do. */
  const measureCurve = async (picture) => {
    const betas = logSpaced(...model.beta_range, POINTS);
    for (const stride of [7, 2, 1]) {
      for (let i = 0; i < POINTS; i += stride) {
        if (measured.some(({ beta }) => beta === betas[i])) continue;
        const result = await scheduler.background("curve", () => page.vae.measure(picture, betas[i]));
        if (result === undefined || picture !== page.picture) return;
        measured = [...measured, pointOf(result)].sort((a, b) => a.beta - b.beta);
        chart.show({ own: measured });
      }
    }
  };

  return {
    /** Show an image. */
    showPicture(picture) {
      paintPicture(input, picture.x, picture, model.data_range);
      input.setAttribute("aria-label", `The input: ${picture.title}`);
    },

    /** Show a result. The curve is that of the picture that turns; a result without draws has no place on it. */
    showResult(result) {
      const { x, image, reconstruction } = result;
      paintPicture(byId("reconstruction"), reconstruction, image, model.data_range);
      paintDifference(byId("difference"), reconstruction, x, image, model.data_range, limit);
      byId("reconstruction").setAttribute("aria-label", `The reconstruction, from ${formatNumber(result.rate)} nats`);
      if (result.distortion !== undefined) chart?.show({ now: pointOf(result) });
    },

    /** Begin the image's own curve anew. */
    startCurve(picture) {
      scheduler.cancel("curve");
      measured = [];
      chart?.show({ own: [], now: null });
      if (chart) measureCurve(picture);
    },
  };
}
