// The fourth tab: each latent of the image as a slider, those that say most at this β first.

import { byId, element } from "./dom.js";
import { count, formatNumber } from "./format.js";
import { klOfEach } from "./numbers.js";
import { paintPicture } from "./paint.js";

const CLOSED = 0.01; // nats below which a latent says nothing
const LIMIT = 4; // standard deviations of the prior at the ends of a slider

/**
 * Make the tab.
 * @param {import("./page.js").Page} page
 */
export function makeLatents(page) {
  const { model, state, scheduler } = page;
  const moved = new Map(); // latent -> where one put it
  const rows = Array.from({ length: model.latent_dim }, (_, latent) => makeRow(latent, page.refresh));
  let shown = null; // the image that the latents were moved for

  byId("reset").addEventListener("click", () => {
    moved.clear();
    page.refresh();
  });

  function makeRow(latent, onMove) {
    const name = `Latent ${latent}`;
    const slider = element("input", { type: "range", min: -LIMIT, max: LIMIT, step: 0.01, "aria-label": name });
    const value = element("output", { class: "numbers small" });
    const kl = element("span", { class: "numbers quiet small kl" });
    const reset = element(
      "button",
      { type: "button", class: "plain", "aria-label": `Reset latent ${latent}`, title: "Reset" },
      "↺",
    );
    slider.addEventListener("input", () => {
      moved.set(latent, Number(slider.value));
      onMove();
    });
    reset.addEventListener("click", () => {
      moved.delete(latent);
      slider.focus();
      onMove();
    });
    const title = element("span", { class: "small latent-name" }, name);
    return { slider, value, kl, reset, node: element("li", { class: "latent" }, title, kl, slider, value, reset) };
  }

  /** Put the rows in order; a row that does not change its place stays, so that it keeps the focus. */
  function arrange(kl) {
    const order = [...kl.keys()].sort((a, b) => kl[b] - kl[a]);
    const isOpen = (latent) => kl[latent] >= CLOSED || moved.has(latent);
    fill(byId("latents-open"), order.filter(isOpen));
    const closed = order.filter((latent) => !isOpen(latent));
    fill(byId("latents-closed"), closed);
    byId("closed").hidden = closed.length === 0;
    byId("closed-title").textContent = `${count(closed.length, "latent")} closed at this β`;
  }

  function fill(list, latents) {
    latents.forEach((latent, i) => {
      if (list.children[i] !== rows[latent].node) list.insertBefore(rows[latent].node, list.children[i] ?? null);
    });
  }

  async function update() {
    const { picture } = page;
    if (picture !== shown) moved.clear();
    shown = picture;
    await scheduler.latest("tab", async () => {
      const { beta } = state;
      const [posterior] = await page.vae.encode(picture, [beta]);
      const z = posterior.mean.map((mean, latent) => moved.get(latent) ?? mean);
      const [drawing] = await page.vae.draw([z], [beta], picture.height, picture.width);
      if (picture !== page.picture) return;
      paintPicture(byId("latents-picture"), drawing, picture, model.data_range);
      const kl = klOfEach(posterior, model.latent_dim);
      const order = meanKl(model, beta) ?? kl;
      const most = Math.max(...kl);
      rows.forEach((row, latent) => {
        if (!moved.has(latent)) row.slider.value = z[latent];
        row.value.textContent = formatNumber(z[latent]);
        row.kl.textContent = `${formatNumber(kl[latent])} nats`;
        row.kl.style.setProperty("--share", kl[latent] / most);
        row.reset.hidden = !moved.has(latent);
      });
      arrange(order);
      byId("reset").disabled = moved.size === 0;
    });
  }

  return { update };
}

/** The KL of each latent over the data of the curve, between the β where it was measured in proportion to log β. */
function meanKl({ latents, latent_dim: number }, beta) {
  if (latents === null) return null;
  const { betas, kl } = latents;
  const above = betas.findIndex((each) => each >= beta);
  if (above <= 0) return kl[above === 0 ? 0 : betas.length - 1];
  const share = Math.log(beta / betas[above - 1]) / Math.log(betas[above] / betas[above - 1]);
  return Array.from({ length: number }, (_, i) => kl[above - 1][i] + (kl[above][i] - kl[above - 1][i]) * share);
}
