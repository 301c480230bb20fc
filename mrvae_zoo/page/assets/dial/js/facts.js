// What the page says of its model, its images and its data.

import { byId, element } from "./dom.js";
import { count, formatBeta } from "./format.js";

/** Fill in the title, the facts, the links and the attribution. */
export function showFacts(model) {
  const [low, high] = model.beta_range.map(formatBeta);
  document.title = `${model.name}: turn β`;
  byId("title").textContent = model.name;
  byId("facts").textContent = [
    model.architecture,
    `${(model.parameters / 1e6).toFixed(2)} million parameters`,
    model.spatial
      ? `${count(model.latent_dim, "latent")} per ${model.stride} × ${model.stride} pixels`
      : count(model.latent_dim, "latent"),
    model.folded ? `β = ${low}` : `β from ${low} to ${high}`,
  ].join(" · ");
  for (const [name, address] of Object.entries(model.links)) {
    byId(`link-${name}`).hidden = !address;
    if (address) byId(`link-${name}`).href = address;
  }
  byId("fixed-beta").textContent = low;
  showAttribution(model);
}

function showAttribution({ data, images, version, runtime }) {
  const source = data.url
    ? element("a", { href: data.url }, data.attribution || data.title)
    : data.attribution || data.title;
  byId("data").replaceChildren(source);
  const own = [...new Set(images.map(({ attribution }) => attribution).filter(Boolean))];
  byId("attribution").replaceChildren(...own.map((text) => element("li", {}, text)));
  byId("images-by").hidden = own.length === 0;
  byId("versions").textContent =
    `mrvae_zoo ${version}, onnxruntime-web ${runtime.version}. Everything is computed in this browser; no image leaves it.`;
}
