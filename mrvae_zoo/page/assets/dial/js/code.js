// The Python that gives what the page shows, to copy.

import { byId, element } from "./dom.js";
import { formatBeta } from "./format.js";
import { sampleCount } from "./samples.js";

const FEEDBACK = 1600; // milliseconds
/** What one's own image is called once it is saved. */
export const OWN_FILE = "input.png";
const BETA = "\u0001"; // stands for β until it is shown

/** Make the buttons that copy; returns a function that shows the code of a state. */
export function makeCode(model) {
  let text = "";
  copies(byId("copy-code"), () => text);
  copies(byId("copy-link"), () => location.href);
  return (state) => {
    const beta = formatBeta(state.beta);
    const lines = linesOf(model, state);
    text = `${lines.join("\n").replaceAll(BETA, beta)}\n`;
    const parts = lines
      .join("\n")
      .split(BETA)
      .flatMap((part) => [element("b", {}, beta), part]);
    byId("code").replaceChildren(...parts.slice(1));
  };
}

/** The code of a state, line by line, with BETA where β goes. */
function linesOf(model, state) {
  const { tab, image, to } = state;
  const nameOf = (index) => (index === null ? OWN_FILE : model.images[index].path.split("/").pop());
  const used = { samples: [], walk: [image, to] }[tab] ?? [image];
  const fetched = [...new Set(used)].filter((index) => index !== null);
  const places = fetched.map((index) => new URL(model.images[index].path, document.baseURI));
  const at = model.folded ? `.at(${model.beta_range[0]})` : "";
  return [
    ...(tab === "strip" ? ["import math"] : []),
    ...(fetched.length > 0 ? ["from urllib.request import urlretrieve", ""] : []),
    "import torch",
    "from mrvae_zoo import load_pretrained",
    "",
    ...fetched.map((index, i) => `urlretrieve("${places[i]}", "${nameOf(index)}")`),
    `model = load_pretrained("${model.source}")${at}`,
    "with torch.inference_mode():",
    ...bodyOf(model, state, nameOf).map((line) => `    ${line}`),
  ];
}

/** What is done with the model. */
function bodyOf(model, { tab, image, to, sampler }, nameOf) {
  const beta = model.folded ? "" : `, beta=${BETA}`;
  const size = model.spatial ? ", size=(64, 64)" : "";
  const read = `x = model.preprocess("${nameOf(image)}")`;
  switch (tab) {
    case "strip":
      return [
        read,
        "betas = torch.logspace(*map(math.log10, model.beta_range), 7)",
        "images = [model(x, beta, sample=False).reconstruction for beta in betas]",
      ];
    case "samples":
      return [`images = model.sample(${sampleCount(model)}${beta}${size}, sampler="${sampler}")`];
    case "latents":
      return [read, `model.traverse(x${beta}).picture().save("latents.png")`];
    case "walk":
      return [
        `a, b = model.preprocess(["${nameOf(image)}", "${nameOf(to)}"]).split(1)`,
        `images = model.interpolate(a, b${beta}, steps=7)`,
      ];
    default:
      return [
        read,
        `output = model(x${beta}, sample=False)  # z is the mean of the posterior`,
        `draws = model(x.expand(${model.spatial ? 2 : 16}, -1, -1, -1)${beta})  # z is drawn from it`,
        "output.reconstruction, output.rate, draws.distortion.mean()",
      ];
  }
}

/** Make a button copy a text and say so. */
function copies(button, textOf) {
  const label = button.textContent;
  let timer;
  button.addEventListener("click", async () => {
    button.textContent = (await copied(textOf())) ? "Copied" : "Select the text and copy it";
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = label), FEEDBACK);
  });
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Inside a frame a page may not use the clipboard this way.
    const area = element("textarea", { class: "unseen", "aria-hidden": "true", tabindex: -1 }, text);
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
