// The figures beside the dial: β, rate, distortion, and what the last step took.

import { byId, throttled } from "./dom.js";
import { formatBeta, formatBytes, formatNumber } from "./format.js";

const PAUSE = 700; // milliseconds between what a screen reader is told

/** Make the figures for a model. */
export function makeReadings(model) {
  byId("psnr-item").hidden = model.likelihood !== "gaussian" || model.data_range === null;
  byId("bits-item").hidden = !model.spatial;
  byId("loss-item").hidden = model.spatial; // of many thousand nats; bits per pixel and dB say more
  const say = throttled((text) => (byId("spoken").textContent = text), PAUSE);

  return {
    /** Show a β before anything is computed at it. */
    showBeta(beta) {
      byId("beta-value").textContent = formatBeta(beta);
    },

    /** Show a result; its draws may be still to come. Without draws, the distortion is that of the picture. */
    showResult({ beta, rate, distortionOfMean, psnr, bitsPerPixel, milliseconds, ...rest }, runtime) {
      byId("rate").textContent = formatNumber(rate);
      byId("bits").textContent = bitsPerPixel.toFixed(3);
      if (psnr !== undefined) byId("psnr").textContent = psnr.toFixed(1);
      if (milliseconds === undefined) return;
      const { distortion = distortionOfMean, loss = distortion + beta * rate } = rest;
      byId("distortion").textContent = formatNumber(distortion);
      byId("loss").textContent = formatNumber(loss);
      byId("milliseconds").textContent = milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds);
      byId("runtime").textContent = runtime === "webgpu" ? "WebGPU" : "WebAssembly";
      byId("took").hidden = false;
      say(`β ${formatBeta(beta)}: rate ${formatNumber(rate)} nats, distortion ${formatNumber(distortion)} nats`);
    },

    /** Show how much of the runtime and the networks has come. */
    showProgress(loaded, total) {
      byId("progress").max = total;
      byId("progress").value = loaded;
      byId("progress-text").textContent = `Loading ${formatBytes(loaded)} of ${formatBytes(total)}`;
    },

    /** Take the progress away: all is there, or it failed. */
    endProgress() {
      byId("loading").hidden = true;
    },
  };
}
