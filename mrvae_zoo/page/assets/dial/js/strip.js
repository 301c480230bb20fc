// The second tab: the image at seven β at once.

import { byId, element } from "./dom.js";
import { formatBeta, formatNumber } from "./format.js";
import { klOfEach, logSpaced, pictureOf, psnrOf, snapped, total } from "./numbers.js";
import { paintPicture } from "./paint.js";

const COUNT = 7;

/**
 * Make the tab.
 * @param {import("./page.js").Page} page
 */
export function makeStrip(page) {
  const { model, state, scheduler } = page;
  const betas = logSpaced(...model.beta_range, COUNT).map((beta) => snapped(beta, model.beta_range));
  const cells = betas.map((beta) => {
    const canvas = element("canvas", {
      class: "pixels",
      role: "img",
      "aria-label": `The reconstruction at β = ${formatBeta(beta)}`,
    });
    const rate = element("span", { class: "numbers quiet small" }, "\u00a0");
    const title = element("span", { class: "numbers cell-title" }, `β = ${formatBeta(beta)}`);
    const button = element(
      "button",
      { type: "button", class: "cell", onclick: () => state.set({ beta }) },
      canvas,
      title,
      rate,
    );
    byId("strip").append(button);
    return { beta, canvas, rate, button };
  });
  let shown = null;

  const mark = () => {
    const distance = ({ beta }) => Math.abs(Math.log(beta / state.beta));
    const nearest = cells.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    for (const cell of cells) cell.button.setAttribute("aria-pressed", cell === nearest);
  };

  return {
    async update() {
      mark();
      const { picture } = page;
      if (picture === shown) return;
      await scheduler.latest("tab", async () => {
        const { height, width } = picture;
        // One at a time where images are large: all at once would need seven times the memory.
        for (const group of model.spatial ? cells.map((cell) => [cell]) : [cells]) {
          const wanted = group.map(({ beta }) => beta);
          const posteriors = await page.vae.encode(picture, wanted);
          const outputs = await page.vae.decode(
            posteriors.map(({ mean }) => mean),
            wanted,
            height,
            width,
          );
          if (picture !== page.picture) return;
          group.forEach((cell, i) => show(cell, picture, posteriors[i], pictureOf(outputs[i], model)));
        }
        shown = picture;
      });
    },
  };

  function show({ canvas, rate }, picture, posterior, reconstruction) {
    paintPicture(canvas, reconstruction, picture, model.data_range);
    const nats = total(klOfEach(posterior, model.latent_dim));
    const bits = nats / Math.LN2 / (picture.height * picture.width);
    const fidelity =
      model.spatial && model.data_range
        ? `, ${formatNumber(psnrOf(reconstruction, picture.x, model.data_range))} dB`
        : "";
    rate.textContent = model.spatial ? `${bits.toFixed(2)} bits per pixel${fidelity}` : `${formatNumber(nats)} nats`;
  }
}
