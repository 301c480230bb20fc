// What is being looked at, and the address that says so.

import { throttled } from "./dom.js";
import { formatBeta } from "./format.js";
import { snapped } from "./numbers.js";

const TABS = ["reconstruct", "strip", "samples", "latents", "walk"];
// A latent has a value at each of thousands of places; a folded model has one β.
const MEANINGLESS = { spatial: ["latents", "walk"], folded: ["strip"] };
const FIRST = 1 / 3; // where the dial stands at first, as a share of its length
const PAUSE = 150; // milliseconds; browsers refuse more than a hundred changes of the address in half a minute

/**
 * The state of the page. `set` changes it and sends the event "change", whose detail is the set of keys that changed.
 * @property {number} beta
 * @property {number | null} image number of the image; null for one's own
 * @property {string} tab
 * @property {number} seed noise of the samples
 * @property {"prior" | "mixture"} sampler what the samples are drawn from
 * @property {number} to number of the image that the walk ends at
 * @property {number} at where on the walk, from 0 to 1
 */
export class State extends EventTarget {
  /** The tabs that make sense for this model. */
  tabs;
  #model;
  #write = throttled(() => history.replaceState(null, "", this.address()), PAUSE);

  /** @param {object} model model.json */
  constructor(model) {
    super();
    this.#model = model;
    const hidden = Object.keys(MEANINGLESS).flatMap((kind) => (model[kind] ? MEANINGLESS[kind] : []));
    this.tabs = TABS.filter((tab) => !hidden.includes(tab));
    Object.assign(this, this.#defaults(), this.#read());
    addEventListener("hashchange", () => this.set({ ...this.#defaults(), ...this.#read() }));
  }

  /** Change some keys. */
  set(changes) {
    const changed = Object.keys(changes).filter((key) => this[key] !== changes[key]);
    if (changed.length === 0) return;
    Object.assign(this, changes);
    this.#write();
    this.dispatchEvent(Object.assign(new Event("change"), { keys: new Set(changed) }));
  }

  /** The state as a plain object. */
  values() {
    const { beta, image, tab, seed, sampler, to, at } = this;
    return { beta, image, tab, seed, sampler, to, at };
  }

  /** The address of this view. */
  address() {
    const { beta, image, tab, seed, sampler, to, at } = this;
    const parts = { beta: formatBeta(beta), image, tab };
    if (image === null) delete parts.image;
    if (tab === "samples") Object.assign(parts, { seed, sampler });
    if (tab === "walk") Object.assign(parts, { to, at });
    return `#${new URLSearchParams(parts)}`;
  }

  #defaults() {
    const {
      beta_range: [low, high],
      images,
      sampler,
      folded,
    } = this.#model;
    return {
      beta: folded ? low : snapped(low * (high / low) ** FIRST, [low, high]),
      image: 0,
      tab: this.tabs[0],
      seed: 0,
      sampler: sampler ? "mixture" : "prior",
      to: Math.min(1, images.length - 1),
      at: 0.5,
    };
  }

  /** Read the address; what it does not say, or says wrongly, is left out. */
  #read() {
    const {
      beta_range: [low, high],
      images,
      sampler,
    } = this.#model;
    const query = new URLSearchParams(location.hash.slice(1));
    const isImage = (value) => Number.isInteger(value) && value >= 0 && value < images.length;
    const checks = {
      beta: (value) => value > 0 && Number.isFinite(value),
      image: isImage,
      to: isImage,
      at: (value) => value >= 0 && value <= 1,
      seed: (value) => Number.isInteger(value) && value >= 0,
    };
    const read = {};
    for (const [key, isValid] of Object.entries(checks)) {
      const value = query.get(key);
      if (value && isValid(Number(value))) read[key] = Number(value);
    }
    if ("beta" in read) read.beta = Math.min(Math.max(read.beta, low), high);
    if (this.tabs.includes(query.get("tab"))) read.tab = query.get("tab");
    if (query.get("sampler") === "prior" || (sampler && query.get("sampler") === "mixture"))
      read.sampler = query.get("sampler");
    return read;
  }
}
