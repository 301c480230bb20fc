// The third tab: new images, drawn with the same noise while β turns.

import { byId, element } from "./dom.js";
import { download, integrityOf } from "./download.js";
import { formatBeta } from "./format.js";
import { nearestMixture, parseMixtures, placed } from "./mixture.js";
import { normals, uniforms } from "./noise.js";
import { paintPicture } from "./paint.js";
import { split } from "./vae.js";

const SIDE = 64; // pixels of samples from a model that takes any size

/** The number of samples that are drawn at once. */
export const sampleCount = (model) => (model.spatial ? 16 : 24);

/**
 * Make the tab.
 * @param {import("./page.js").Page} page
 */
export function makeSamples(page) {
  const { model, state, scheduler } = page;
  const number = sampleCount(model);
  const [height, width] = model.spatial ? [SIDE, SIDE] : model.input_shape.slice(1);
  const canvases = Array.from({ length: number }, (_, i) =>
    element("canvas", { class: "pixels", role: "img", "aria-label": `Sample ${i + 1}`, width, height }),
  );
  byId("samples").append(...canvases);
  const ofPlaces = model.spatial ? ", for each place by itself: textures rather than photographs" : "";
  let mixtures = null;

  byId("samplers").hidden = model.sampler === null;
  for (const name of ["prior", "mixture"])
    byId(`sampler-${name}`).addEventListener("change", () => state.set({ sampler: name }));
  byId("new-noise").addEventListener("click", () => state.set({ seed: state.seed + 1 }));

  const latentsAt = (beta, mixture) => {
    const shape = page.vae.latentShape(height, width);
    const noise = split(normals(state.seed, number * shape.reduce((a, b) => a * b)), number);
    const uniform = uniforms(state.seed + 1e6);
    return mixture === null ? noise : noise.map((each) => placed(mixture, uniform(), each));
  };

  const load = async () => {
    const { path, sha256 } = model.sampler;
    mixtures = parseMixtures(await download(new URL(path, document.baseURI), integrityOf(sha256)));
  };

  return {
    async update() {
      const { sampler } = state;
      byId(`sampler-${sampler}`).checked = true;
      await scheduler.latest("tab", async () => {
        if (sampler === "mixture" && mixtures === null) await load();
        const { beta } = state;
        const mixture = sampler === "mixture" ? nearestMixture(mixtures, beta) : null;
        byId("sampler-note").textContent =
          mixture === null
            ? `z is drawn from the prior, a standard normal${ofPlaces}.`
            : `z is drawn from the mixture that was fitted at β = ${formatBeta(mixture.beta)}, the nearest.`;
        const pictures = await page.vae.draw(
          latentsAt(beta, mixture),
          canvases.map(() => beta),
          height,
          width,
        );
        pictures.forEach((picture, i) => paintPicture(canvases[i], picture, { height, width }, model.data_range));
      });
    },
  };
}
