// Start the page: the description of the model, then its networks. `window.mrvae` is for the console and for tests.

import { showMessage } from "./dom.js";
import { PageError } from "./download.js";
import { Engine } from "./engine.js";
import { showFacts } from "./facts.js";
import { Page } from "./page.js";

async function loadModel() {
  try {
    const response = await fetch("model.json");
    if (response.ok) return await response.json();
  } catch {
    // Said below, as if there were no such file.
  }
  throw new PageError("model.json, which describes the model, could not be loaded. Check the connection and reload.");
}

/** What to compute with. A small model is done sooner on the CPU than its pixels travel to the GPU and back. */
function chosenRuntime(model) {
  const wanted = new URLSearchParams(location.search).get("runtime");
  return ["wasm", "webgpu"].includes(wanted) ? wanted : model.spatial ? "auto" : "wasm";
}

async function start() {
  let page;
  try {
    const model = await loadModel();
    showFacts(model);
    document.body.classList.toggle("spatial", model.spatial);
    document.body.classList.toggle("folded", model.folded);
    page = new Page(model);
    const change = (changes) => {
      page.state.set(changes);
      return page.settled();
    };
    Object.assign(window.mrvae, {
      state: () => page.state.values(),
      result: () => page.shown,
      setBeta: (beta) => change({ beta }),
      setImage: (image) => change({ image }),
    });
    document.body.classList.remove("starting");
    const loading = Engine.load(model, chosenRuntime(model), page.readings.showProgress);
    const [engine] = await Promise.all([loading, page.showPicture().catch((error) => page.fail(error))]);
    window.mrvae.runtime = engine.runtime;
    await page.start(engine);
  } catch (error) {
    if (page) page.fail(error);
    else showMessage(error.message);
    throw error;
  } finally {
    document.body.classList.remove("starting");
    page?.readings.endProgress();
  }
}

window.mrvae = { ready: null, runtime: null, state: () => null, result: () => null };
window.mrvae.ready = start();
window.mrvae.ready.catch(() => {}); // the page says it
