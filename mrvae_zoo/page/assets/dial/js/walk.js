// The fifth tab: a walk from the image to another one, on the straight line between their latents.

import { byId, element } from "./dom.js";
import { paintPicture } from "./paint.js";
import { makeThumbs } from "./thumbs.js";

const STEPS = 7;

/**
 * Make the tab.
 * @param {import("./page.js").Page} page
 */
export function makeWalk(page) {
  const { model, state, scheduler } = page;
  const mark = makeThumbs(byId("walk-thumbs"), "walk-to", model.images, (to) => state.set({ to }));
  const slider = byId("walk-at");
  slider.addEventListener("input", () => state.set({ at: Number(slider.value) }));
  const stops = Array.from({ length: STEPS }, (_, i) => {
    const at = Number((i / (STEPS - 1)).toFixed(3));
    const canvas = element("canvas", {
      class: "pixels",
      role: "img",
      "aria-label": `${Math.round(100 * at)} % of the way`,
    });
    byId("walk-steps").append(
      element("button", { type: "button", class: "cell", onclick: () => state.set({ at }) }, canvas),
    );
    return { at, canvas };
  });

  return {
    async update() {
      mark(state.to);
      slider.value = state.at;
      slider.setAttribute("aria-valuetext", `${Math.round(100 * state.at)} % of the way`);
      const start = page.picture;
      const end = await page.inputs.load(state.to);
      await scheduler.latest("tab", async () => {
        const { beta, at } = state;
        const { height, width } = start;
        const [[{ mean: from }], [{ mean: to }]] = [
          await page.vae.encode(start, [beta]),
          await page.vae.encode(end, [beta]),
        ];
        const points = [at, ...stops.map((stop) => stop.at)].map((share) =>
          from.map((z, i) => z + (to[i] - z) * share),
        );
        const pictures = await page.vae.draw(
          points,
          points.map(() => beta),
          height,
          width,
        );
        if (start !== page.picture) return;
        paintPicture(byId("walk-picture"), pictures[0], start, model.data_range);
        stops.forEach(({ canvas }, i) => paintPicture(canvas, pictures[i + 1], start, model.data_range));
      });
    },
  };
}
