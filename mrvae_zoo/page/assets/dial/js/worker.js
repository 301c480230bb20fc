// The worker that computes: it loads onnxruntime-web and the two networks, and runs them one call at a time.
// Messages in: {id, type: "load", model, base, runtime} and {id, type: "run", part, feeds}.
// Messages out: {loaded, total} while loading, and {id, result} or {id, error, forPerson}.

import { download, integrityOf, PageError } from "./download.js";

const PARTS = ["encoder", "decoder"];
// The smallest module that uses a vector instruction.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];

let ort;
let sessions;

const answers = {
  load: async ({ model, base, runtime }) => {
    if (typeof WebAssembly !== "object" || !WebAssembly.validate(new Uint8Array(SIMD))) {
      throw new PageError(
        "This browser cannot run the model: it has no WebAssembly with SIMD. Use a current Firefox, Chrome, Edge or Safari.",
      );
    }
    const progress = new Progress();
    const networks = Promise.all(
      PARTS.map((part) => fetchFile(new URL(model.files[part].path, base), model.files[part], progress)),
    );
    networks.catch(() => {}); // awaited below; until then its failure is not unhandled
    for (const kind of (await hasGpu(runtime)) ? ["webgpu", "wasm"] : ["wasm"]) {
      try {
        await start(kind, model, base, progress, networks);
        return { runtime: kind };
      } catch (error) {
        if (kind === "wasm" || error instanceof PageError) throw error;
      }
    }
  },

  run: async ({ part, feeds }) => {
    const session = sessions[part];
    const tensors = {};
    for (const name of session.inputNames)
      tensors[name] = new ort.Tensor("float32", feeds[name].data, feeds[name].dims);
    const outputs = await session.run(tensors);
    return Object.fromEntries(
      session.outputNames.map((name) => [name, { data: outputs[name].data, dims: outputs[name].dims }]),
    );
  },
};

/** Bytes of all files that are on their way, told to the page as they arrive. */
class Progress {
  loaded = 0;
  total = 0;

  expect(bytes) {
    this.total += bytes;
    postMessage({ loaded: this.loaded, total: this.total });
  }

  arrived(bytes) {
    this.loaded += bytes;
    postMessage({ loaded: this.loaded, total: this.total });
  }
}

function fetchFile(url, { bytes, sha256 }, progress) {
  progress.expect(bytes);
  return download(url, integrityOf(sha256), (arrived) => progress.arrived(arrived));
}

/** Whether to try WebGPU: it was asked for, or is to be used where a real GPU stands behind it. */
async function hasGpu(runtime) {
  if (runtime === "wasm") return false;
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && (runtime === "webgpu" || !adapter.info.isFallbackAdapter);
  } catch {
    return false;
  }
}

/** Load one kind of the runtime and make both sessions with it. */
async function start(kind, model, base, progress, networks) {
  const { files, integrity, bytes = {}, url } = model.runtime;
  const [module, glue, wasm] = await Promise.all(
    ["module", "glue", "wasm"].map((role) => {
      const name = files[kind][role];
      progress.expect(bytes[name] ?? 0);
      return download(new URL(url + name, base), integrity[name], (arrived) => progress.arrived(arrived));
    }),
  );
  ort = await import(scriptOf(module));
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { mjs: scriptOf(glue) };
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency ?? 1) : 1;
  const options = { executionProviders: [kind], logSeverityLevel: 3 }; // errors only
  const made = [];
  for (const network of await networks) made.push(await ort.InferenceSession.create(network, options));
  sessions = Object.fromEntries(PARTS.map((part, i) => [part, made[i]]));
  await tryOut(model);
}

/** Run both networks once: the first run is slow, and a GPU that makes no numbers is found out before anyone sees them. */
async function tryOut({
  input_shape: [channels, height, width],
  latent_dim: latents,
  stride,
  spatial,
  beta_range: [beta],
}) {
  const [rows, columns] = spatial ? [8 * stride, 8 * stride] : [height, width];
  const full = (...dims) => ({ data: new Float32Array(dims.reduce((a, b) => a * b)).fill(0.5), dims });
  const betas = { data: Float32Array.of(beta), dims: [1] };
  const shape = spatial ? [latents, 8, 8] : [latents];
  const encoded = await answers.run({ part: "encoder", feeds: { x: full(1, channels, rows, columns), beta: betas } });
  const decoded = await answers.run({ part: "decoder", feeds: { z: full(1, ...shape), beta: betas } });
  for (const { data } of [...Object.values(encoded), ...Object.values(decoded)]) {
    if (!data.every(Number.isFinite)) throw new Error("the model gave values that are no numbers");
  }
}

/** Return an address under which checked bytes can be imported, so that nothing is fetched a second time. */
function scriptOf(bytes) {
  return URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
}

self.onmessage = async ({ data }) => {
  try {
    const result = await answers[data.type](data);
    const buffers = data.type === "run" ? Object.values(result).map((output) => output.data.buffer) : [];
    postMessage({ id: data.id, result }, buffers);
  } catch (error) {
    postMessage({ id: data.id, error: String(error?.message ?? error), forPerson: error instanceof PageError });
  }
};
