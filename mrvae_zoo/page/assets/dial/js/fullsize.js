// The image at its own size. A step of the dial is computed on a smaller one; a button computes the whole, tile by tile.

import { byId } from "./dom.js";
import { formatSeconds } from "./format.js";
import { measureTiled, pixelsOfTiles } from "./tiles.js";

/** What to write on the button, by what it does. */
const LABELS = {
  compute: ({ full: { width, height } }) => `Compute at ${width} × ${height}`,
  cancel: () => "Cancel",
  leave: ({ width, height }) => `Back to ${width} × ${height}`,
};

export class FullSize {
  #page;
  #picture = null; // the small one
  #does = "compute"; // what the button does
  #run = null; // stands for the computation that is under way
  #pace = null; // milliseconds that a pixel takes, encoded and decoded

  /** @param {import("./page.js").Page} page */
  constructor(page) {
    this.#page = page;
    byId("full-size").hidden = !page.model.spatial;
    byId("full-button").addEventListener("click", () => (this.#does === "compute" ? this.#compute() : this.end()));
  }

  /** Whether tiles are being computed. */
  get isRunning() {
    return this.#run !== null;
  }

  /** Offer it for a new picture, if that was scaled down. */
  offer(picture) {
    this.#run = null;
    this.#picture = picture;
    byId("input-note").textContent = picture.note ?? "";
    byId("full-controls").hidden = !picture.full;
    this.#show("compute");
  }

  /** Learn from a step how fast the model is, for what is said of the time. */
  learnPace({ pictureMilliseconds, image: { height, width } }) {
    this.#pace = pictureMilliseconds / (height * width);
    if (this.#does === "compute") this.#show("compute");
  }

  /** Go back to the small picture, at once; what is under way is left. */
  end() {
    if (this.#does === "compute") return;
    const wasShown = this.#does === "leave";
    this.#run = null;
    this.#show("compute");
    if (wasShown) this.#page.showFull(null);
  }

  async #compute() {
    const run = (this.#run = {});
    const { vae, state, scheduler } = this.#page;
    const { full } = this.#picture;
    this.#show("cancel");
    const result = await scheduler.latest("full", () =>
      measureTiled(vae, full.load(), state.beta, (number, count) => {
        if (run !== this.#run) return false;
        byId("full-progress").value = (number - 1) / count;
        byId("full-status").textContent = `tile ${number} of ${count}`;
        return true;
      }),
    );
    if (run !== this.#run) return;
    this.#run = null;
    if (result === undefined) return this.#show("compute"); // it failed, and the page says why
    this.#pace = result.milliseconds / pixelsOfTiles(full, this.#page.model);
    this.#show("leave");
    byId("full-status").textContent = `took ${formatSeconds(result.milliseconds)}`;
    this.#page.showFull(result);
  }

  #show(does) {
    this.#does = does;
    const { full } = this.#picture;
    byId("full-progress").hidden = does !== "cancel";
    byId("full-progress").value = 0;
    if (!full) return;
    const knowsPace = this.#pace !== null;
    const button = byId("full-button");
    button.textContent = LABELS[does](this.#picture);
    button.disabled = !knowsPace;
    const milliseconds = knowsPace ? this.#pace * pixelsOfTiles(full, this.#page.model) : 0;
    byId("full-status").textContent =
      does === "compute" && knowsPace ? `about ${formatSeconds(milliseconds)}` : "";
  }
}
