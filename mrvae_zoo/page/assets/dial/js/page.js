// The page as a whole: what its parts share, and what happens when the state changes.

import { makeCode } from "./code.js";
import { Dial } from "./dial.js";
import { byId, showMessage } from "./dom.js";
import { PageError } from "./download.js";
import { FullSize } from "./fullsize.js";
import { makeInputs } from "./inputs.js";
import { makeLatents } from "./latents.js";
import { makeReadings } from "./readings.js";
import { makeReconstruct } from "./reconstruct.js";
import { makeSamples } from "./samples.js";
import { Scheduler } from "./scheduler.js";
import { State } from "./state.js";
import { makeStrip } from "./strip.js";
import { makeTabs } from "./tabs.js";
import { Vae } from "./vae.js";
import { makeWalk } from "./walk.js";

const PATIENCE = 1000; // milliseconds that a step may take; an image that takes longer is scaled down,
const ALWAYS = 256 * 256; // but not to fewer pixels than this

export class Page {
  /** @type {import("./vae.js").Picture | null} */
  picture = null;
  result = null;
  /** The result at the image's own size, while that is shown. */
  full = null;
  vae = null;
  /** Compute anew what the tab shows. */
  refresh = () => this.#run(() => this.#compute(false));
  #work = Promise.resolve();
  #pace = 0; // the most pixels that were done in a millisecond
  #views;
  #fullSize;
  #dial;
  #showTab;
  #showCode;

  /** @param {object} model model.json */
  constructor(model) {
    this.model = model;
    this.state = new State(model);
    this.scheduler = new Scheduler();
    this.scheduler.onError = (error) => this.fail(error);
    this.readings = makeReadings(model);
    this.inputs = makeInputs(model, {
      onPick: (image) => this.state.set({ image }),
      onOwn: (picture) => this.#showOwn(picture),
      mostPixels: () => this.#mostPixels(),
    });
    const turn = (beta) => this.state.set({ beta });
    this.#dial = model.folded ? null : new Dial(byId("dial"), model.beta_range, turn);
    this.#showTab = makeTabs(this.state.tabs, (tab) => this.state.set({ tab }));
    this.#showCode = makeCode(model);
    const makers = {
      reconstruct: makeReconstruct,
      strip: makeStrip,
      samples: makeSamples,
      latents: makeLatents,
      walk: makeWalk,
    };
    this.#views = Object.fromEntries(this.state.tabs.map((tab) => [tab, makers[tab](this)]));
    this.#fullSize = new FullSize(this);
    this.state.addEventListener("change", ({ keys }) => this.#follow(keys));
    new ResizeObserver(([{ target }]) => {
      document.documentElement.style.setProperty("--console", `${target.offsetHeight}px`); // what sticks below it needs it
    }).observe(document.querySelector(".console"));
    this.#showState();
  }

  /** Show the image, which needs no model yet. */
  async showPicture() {
    const { image } = this.state;
    if (image === null) return;
    const picture = await this.inputs.load(image);
    if (image === this.state.image) this.#setPicture(picture);
  }

  /** Compute from now on. */
  async start(engine) {
    this.vae = new Vae(this.model, engine);
    await this.#compute(true);
  }

  /** Resolves once what the state asks for is computed and shown. */
  async settled() {
    for (let work = null; work !== this.#work;) {
      work = this.#work;
      await work;
    }
  }

  /** The result that is shown. */
  get shown() {
    return this.full ?? this.result;
  }

  /** Show a result at the image's own size; null goes back to the small one. */
  showFull(result) {
    this.full = result;
    this.#views.reconstruct.showPicture(this.shown.image);
    this.#show(this.shown);
  }

  /** Say what went wrong. */
  fail(error) {
    showMessage(error instanceof PageError ? error.message : `The model could not be run: ${error.message}`);
    if (!(error instanceof PageError)) console.error(error);
  }

  #follow(keys) {
    if (keys.has("beta") || keys.has("image") || this.#fullSize.isRunning) this.#fullSize.end();
    this.#showState();
    if (this.vae !== null) showMessage(); // what was said of the last thing that was tried
    this.#run(async () => {
      if (keys.has("image")) await this.showPicture();
      await this.#compute(keys.has("image"));
    });
  }

  #run(work) {
    this.#work = work().catch((error) => this.fail(error));
  }

  #showState() {
    const { state } = this;
    this.readings.showBeta(state.beta);
    this.#dial?.show(state.beta, this.shown?.rate);
    this.inputs.show(state.image);
    this.#showTab(state.tab);
    this.#showCode(state);
    byId("thumbs-name").textContent = state.tab === "walk" ? "From" : "Image";
    byId("pictures-of").hidden = state.tab === "samples";
    byId("own-note").hidden = state.image !== null;
    byId("save").hidden = state.image !== null;
  }

  #showOwn(picture) {
    this.#setPicture(picture);
    if (this.state.image !== null) this.state.set({ image: null });
    else this.#run(() => this.#compute(true));
  }

  #setPicture(picture) {
    if (picture === this.picture) return;
    this.picture = picture;
    this.full = null;
    this.#views.reconstruct.showPicture(picture);
    this.#fullSize.offer(picture);
  }

  /** Compute what is shown now: the step of the dial, and what the tab shows. */
  async #compute(isNewPicture) {
    if (this.vae === null || this.picture === null) return;
    if (isNewPicture) this.#views.reconstruct.startCurve(this.picture);
    const step = this.#step();
    await Promise.all([step, this.#views[this.state.tab].update?.()]);
  }

  async #step() {
    const { picture, scheduler } = this;
    const { beta } = this.state;
    if (this.result?.image === picture && this.result.beta === beta) return;
    const result = await scheduler.latest("step", () =>
      this.vae.measure(picture, beta, (partial) => {
        this.#show(partial);
        return !scheduler.isWaiting("step");
      }),
    );
    if (result === undefined) return;
    this.result = result;
    this.#pace = Math.max(this.#pace, (picture.width * picture.height) / result.milliseconds);
    this.#fullSize.learnPace(result);
    this.#show(result);
  }

  #show(result) {
    this.readings.showResult(result, this.vae.engine.runtime);
    this.#views.reconstruct.showResult(result);
    this.#dial?.show(this.state.beta, result.rate);
  }

  /** How many pixels an image may have, so that a step takes no longer than one waits for. */
  #mostPixels() {
    if (!this.model.spatial) return Infinity;
    return Math.min(this.model.limits.pixels, Math.max(ALWAYS, PATIENCE * this.#pace));
  }
}
