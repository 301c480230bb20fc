// The dial: a slider for β on a logarithmic scale.

import { element } from "./dom.js";
import { formatBeta } from "./format.js";
import { snapped } from "./numbers.js";

// Steps in decades.
const FINE = 1 / 200; // arrow keys with shift
const STEP = 1 / 40; // arrow keys, and a notch of a mouse wheel
const LEAP = 1 / 4; // page up and down
const NOTCH = 100; // pixels that a mouse wheel reports for a notch
const LINE = 33; // pixels of a line, for wheels that report lines

export class Dial {
  #node;
  #needle = element("span", { class: "needle" });
  #scale = element("div", { class: "scale" }); // from the lowest β to the highest
  #range;

  /**
   * @param {HTMLElement} node the element with role="slider"
   * @param {[number, number]} range of β
   * @param {(beta: number) => void} onTurn
   */
  constructor(node, range, onTurn) {
    this.#node = node;
    this.#range = range;
    node.setAttribute("aria-valuemin", range[0]);
    node.setAttribute("aria-valuemax", range[1]);
    this.#scale.append(...this.#ticks(), this.#needle);
    node.append(this.#scale);
    const turn = (beta) => onTurn(snapped(beta, range));
    node.addEventListener("keydown", (event) => this.#onKey(event, turn));
    node.addEventListener("wheel", (event) => this.#onWheel(event, turn), { passive: false });
    node.addEventListener("pointerdown", (event) => this.#onPointer(event, turn));
  }

  /** Show a β, and the rate at it if it is known. */
  show(beta, rate) {
    this.beta = beta;
    this.#needle.style.left = `${100 * this.#share(beta)}%`;
    this.#node.setAttribute("aria-valuenow", beta);
    const nats = rate === undefined ? "" : `, ${Math.round(rate)} nats`;
    this.#node.setAttribute("aria-valuetext", `β = ${formatBeta(beta)}${nats}`);
  }

  #share(beta) {
    const [low, high] = this.#range;
    return Math.log(beta / low) / Math.log(high / low);
  }

  /** One mark for each digit of each decade, the decades with their number. */
  #ticks() {
    const [low, high] = this.#range;
    const ticks = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade++) {
      for (let digit = 1; digit <= 9; digit++) {
        const beta = Number(`${digit}e${decade}`);
        if (beta < low * 0.9999 || beta > high * 1.0001) continue;
        const kind = digit === 1 ? "decade" : digit === 5 ? "half" : "";
        const label = digit === 1 ? [element("span", { class: "label" }, formatBeta(beta))] : [];
        const tick = element("span", { class: `tick ${kind}`, "aria-hidden": "true" }, ...label);
        tick.style.left = `${100 * this.#share(beta)}%`;
        ticks.push(tick);
      }
    }
    return ticks;
  }

  #onKey(event, turn) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [low, high] = this.#range;
    const step = event.shiftKey ? FINE : STEP;
    const keys = {
      ArrowRight: () => this.beta * 10 ** step,
      ArrowUp: () => this.beta * 10 ** step,
      ArrowLeft: () => this.beta / 10 ** step,
      ArrowDown: () => this.beta / 10 ** step,
      PageUp: () => this.beta * 10 ** LEAP,
      PageDown: () => this.beta / 10 ** LEAP,
      Home: () => low,
      End: () => high,
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    turn(keys[event.key]());
  }

  #onWheel(event, turn) {
    if (event.ctrlKey) return; // zooms the page
    event.preventDefault();
    const moved = (event.deltaY || event.deltaX) * (event.deltaMode === 0 ? 1 : LINE);
    const notches = Math.max(-2, Math.min(2, -moved / NOTCH));
    const sign = Math.sign(notches);
    turn(this.beta * 10 ** (sign * Math.max(Math.abs(notches) * STEP, FINE)));
  }

  #onPointer(event, turn) {
    if (event.button !== 0) return;
    const node = this.#node;
    const [low, high] = this.#range;
    const follow = ({ clientX }) => {
      const { left, width } = this.#scale.getBoundingClientRect();
      const share = Math.min(Math.max((clientX - left) / width, 0), 1);
      turn(low * (high / low) ** share);
    };
    node.setPointerCapture(event.pointerId);
    node.addEventListener("pointermove", follow);
    node.addEventListener("lostpointercapture", () => node.removeEventListener("pointermove", follow), { once: true });
    follow(event);
  }
}
