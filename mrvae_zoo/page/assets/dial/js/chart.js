// The rate-distortion curve: that of the test set, that of this image, and where the dial stands. Hovering shows what a
// place on a curve stands for; pressing turns the dial to it.

import { drawn } from "./dom.js";
import { formatBeta, formatNumber } from "./format.js";

const MARGIN = { top: 12, right: 12, bottom: 44, left: 54 };
const REACH = 40; // pixels from a curve within which the pointer means it
const TANGENT = 44; // pixels of half the line that shows the slope

export class Chart {
  #node;
  #axes;
  #data = { published: [], own: [], now: null };
  #lines = [];
  #hover = null;
  #size = { width: 0, height: 0 };

  /**
   * @param {HTMLElement} node where the drawing goes; its size is the drawing's
   * @param {{x: Axis, y: Axis, slope: boolean}} axes what is drawn of a point; `slope` draws the line D + βR = const
   * @param {(beta: number) => void} onPick
   * @typedef {{title: string, of: (point: object) => number, fromZero: boolean}} Axis
   */
  constructor(node, axes, onPick) {
    this.#node = node;
    this.#axes = axes;
    new ResizeObserver(
      ([
        {
          contentRect: { width, height },
        },
      ]) => {
        this.#size = { width, height };
        this.#draw();
      },
    ).observe(node);
    let pressed = false;
    const look = (event) => {
      this.#hover = this.#nearest(event);
      if (pressed && this.#hover) onPick(this.#hover.beta);
      this.#draw();
    };
    node.addEventListener("pointerdown", (event) => {
      pressed = event.button === 0;
      look(event);
    });
    node.addEventListener("pointermove", look);
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
      node.addEventListener(end, ({ type, pointerType }) => {
        pressed = false;
        if (type === "pointerleave" || pointerType !== "mouse") this.#hover = null;
        this.#draw();
      });
    }
  }

  /** Show points {beta, rate, distortion, ...}: both curves by rising β, and where the dial stands, or null. */
  show(data) {
    this.#data = { ...this.#data, ...data };
    this.#draw();
  }

  #draw() {
    const { width, height } = this.#size;
    const { published, own, now } = this.#data;
    const all = [...published, ...own, ...(now ? [now] : [])];
    if (width === 0 || all.length === 0) return;
    const x = scaleOf(this.#axes.x, all, MARGIN.left, width - MARGIN.right);
    const y = scaleOf(this.#axes.y, all, height - MARGIN.bottom, MARGIN.top);
    const place = (point) => ({ ...point, x: x.at(point), y: y.at(point) });
    this.#lines = [published, own].map((points) => points.map(place));
    const parts = [
      this.#frame(x, y, width, height),
      polyline(this.#lines[0], "published"),
      polyline(this.#lines[1], "own"),
      ...(now ? this.#position(place(now), x, y) : []),
      ...(this.#hover ? this.#label(this.#hover, width) : []),
    ];
    this.#node.replaceChildren(drawn("svg", { width, height, "aria-hidden": "true" }, ...parts));
  }

  #frame(x, y, width, height) {
    const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
    const frame = drawn("g", { class: "frame" });
    for (const tick of y.ticks) {
      const level = y.of(tick);
      frame.append(
        drawn("line", { x1: MARGIN.left, x2: right, y1: level, y2: level }),
        drawn("text", { x: MARGIN.left - 8, y: level, dy: "0.32em", "text-anchor": "end" }, tickText(tick)),
      );
    }
    for (const tick of x.ticks) {
      frame.append(
        drawn("line", { x1: x.of(tick), x2: x.of(tick), y1: bottom, y2: bottom + 4 }),
        drawn("text", { x: x.of(tick), y: bottom + 17, "text-anchor": "middle" }, tickText(tick)),
      );
    }
    const middle = (MARGIN.top + bottom) / 2;
    frame.append(
      drawn("text", { x: (MARGIN.left + right) / 2, y: height - 6, "text-anchor": "middle" }, this.#axes.x.title),
      drawn("text", { transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, this.#axes.y.title),
    );
    return frame;
  }

  /** The point of the dial, and the line along which D + βR is what it is here. */
  #position(point, x, y) {
    const dot = drawn("circle", { class: "now", cx: point.x, cy: point.y, r: 7 });
    if (!this.#axes.slope) return [dot];
    const [across, down] = [x.perUnit, -point.beta * y.perUnit];
    const scale = TANGENT / Math.hypot(across, down);
    const [dx, dy] = [across * scale, down * scale];
    const ends = { x1: point.x - dx, x2: point.x + dx, y1: point.y - dy, y2: point.y + dy };
    return [drawn("line", { class: "slope", ...ends }), dot];
  }

  #label(point, width) {
    const [x, y] = [this.#axes.x, this.#axes.y].map(({ of }) => formatNumber(of(point)));
    const text = `β = ${formatBeta(Number(point.beta.toPrecision(3)))}: ${x}, ${y}`;
    const left = Math.min(Math.max(point.x, MARGIN.left + 70), width - 80);
    return [
      drawn("circle", { class: "hover", cx: point.x, cy: point.y, r: 5 }),
      drawn("text", { class: "hover", x: left, y: Math.max(point.y - 14, 12), "text-anchor": "middle" }, text),
    ];
  }

  /** The place on a curve that is nearest to the pointer, with β between its points in proportion to log β. */
  #nearest({ clientX, clientY }) {
    const box = this.#node.getBoundingClientRect();
    const pointer = { x: clientX - box.left, y: clientY - box.top };
    let [nearest, least] = [null, REACH];
    for (const line of this.#lines) {
      for (let i = 0; i + 1 < line.length; i++) {
        const point = between(line[i], line[i + 1], shareOf(line[i], line[i + 1], pointer));
        const distance = Math.hypot(point.x - pointer.x, point.y - pointer.y);
        if (distance < least) [nearest, least] = [point, distance];
      }
    }
    return nearest;
  }
}

/** How far along a line the foot of a point lies, from 0 to 1. */
function shareOf(a, b, point) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const share = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  return Math.min(Math.max(share, 0), 1);
}

function between(a, b, share) {
  const mixed = Object.fromEntries(
    ["x", "y", "rate", "distortion", "pixels"].map((key) => [key, a[key] + (b[key] - a[key]) * share]),
  );
  return { ...mixed, beta: a.beta * (b.beta / a.beta) ** share };
}

function polyline(points, name) {
  const group = drawn("g", { class: name });
  group.append(drawn("polyline", { points: points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") }));
  for (const { x, y } of points) group.append(drawn("circle", { cx: x, cy: y, r: 2 }));
  return group;
}

/** A linear scale over points, widened to round ticks. */
function scaleOf({ of, fromZero }, points, start, end) {
  const values = points.map(of);
  const low = fromZero ? 0 : Math.min(...values);
  const high = Math.max(...values);
  const step = roundStep((high - low || 1) / 4);
  const [first, last] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  const ticks = Array.from({ length: Math.round((last - first) / step) + 1 }, (_, i) => first + i * step);
  const perUnit = (end - start) / (last - first);
  const place = (value) => start + (value - first) * perUnit;
  return { of: place, at: (point) => place(of(point)), ticks, perUnit };
}

/** The smallest of 1, 2, 2.5, 5 times a power of ten that is not below. */
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= least * 0.999) * power;
}

function tickText(value) {
  return Number(value.toPrecision(6)).toLocaleString("en-US", { maximumFractionDigits: 6 });
}
