/** The gallery: a card for every model of gallery.json, and filters over them. */

import { addFilters } from "./filters.js";

const STRIP_BETAS = 7;

/** An element with attributes and children, which are elements or text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A number of parameters: 1.54 M, 51 k. */
function count(value) {
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : `${Math.round(value / 1e3)} k`;
}

/** The card of one model: the strip, the name that opens its dial, and what is known of it. */
function card(model) {
  const [low, high] = model.beta_range;
  const alternative = `One test image, reconstructed at ${STRIP_BETAS} β from ${low} to ${high}`;
  const size = `${count(model.parameters)} parameters · ${(model.bytes / 1e6).toFixed(1)} MB`;
  return element(
    "li",
    { class: "card", "data-data": model.data, "data-architecture": model.architecture },
    element("img", { class: "strip", src: model.strip, alt: alternative, loading: "lazy" }),
    element(
      "p",
      { class: "scale", "aria-hidden": "true" },
      element("span", {}, `β = ${low}`),
      element("span", {}, `β = ${high}`),
    ),
    element("h2", {}, element("a", { href: model.href }, model.name)),
    element("p", { class: "facts" }, model.title),
    element("p", { class: "facts" }, size),
  );
}

/** Fill the page from gallery.json, or say why not. */
async function start() {
  const gallery = document.getElementById("gallery");
  try {
    const answer = await fetch("gallery.json");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const models = await answer.json();
    gallery.append(element("ul", { class: "cards" }, ...models.map(card)));
    addFilters(gallery);
  } catch (error) {
    document.getElementById("message").textContent =
      `The list of models, gallery.json, could not be loaded (${error.message}). Serve this folder with a web server and reload.`;
  }
  gallery.removeAttribute("aria-busy");
}

start();
