// The two networks of a model as functions that return promises. The computing happens in worker.js.

import { PageError } from "./download.js";

export class Engine {
  #worker;
  #waiting = new Map();
  #calls = 0;
  #onProgress;

  /**
   * Load the runtime and the networks.
   * @param {object} model model.json
   * @param {"auto" | "wasm" | "webgpu"} runtime what to compute with; "auto" takes WebGPU where there is a GPU. WASM takes
   *   over where WebGPU fails
   * @param {(loaded: number, total: number) => void} onProgress called with bytes
   */
  static async load(model, runtime, onProgress) {
    const engine = new Engine();
    engine.#onProgress = onProgress;
    engine.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    engine.#worker.onmessage = ({ data }) => engine.#receive(data);
    engine.#worker.onerror = () =>
      engine.#fail(new PageError("The script that computes (js/worker.js) did not start."));
    const loaded = await engine.#ask({ type: "load", model, base: document.baseURI, runtime });
    engine.runtime = loaded.runtime;
    return engine;
  }

  /**
   * Run one network on feeds {name: {data: Float32Array, dims: number[]}}; a feed that it does not take is left out.
   * @param {"encoder" | "decoder"} part
   * @returns {Promise<object>} outputs of the same form
   */
  run(part, feeds) {
    return this.#ask({ type: "run", part, feeds });
  }

  #ask(message) {
    const id = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...message });
    });
  }

  #receive({ id, result, error, forPerson, loaded, total }) {
    if (id === undefined) return this.#onProgress(loaded, total);
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) return resolve(result);
    reject(forPerson ? new PageError(error) : new Error(error));
  }

  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
