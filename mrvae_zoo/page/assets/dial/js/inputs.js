// Where images come from: the page's own, a drawing, a file, the clipboard, something dropped, a camera.

import { byId, element, showMessage } from "./dom.js";
import { makeCamera } from "./camera.js";
import { OWN_FILE } from "./code.js";
import { PageError } from "./download.js";
import { makeDrawing } from "./draw.js";
import { fitted, pixelsOf, preprocess, readImage } from "./preprocess.js";
import { makeThumbs } from "./thumbs.js";

/**
 * Make the inputs work.
 * @param {object} model model.json
 * @param {{onPick: (index: number) => void, onOwn: (picture: object) => void, mostPixels: () => number}} wiring
 *   `onPick` gets the number of an image of the page, `onOwn` an image of one's own; `mostPixels` says how many pixels an
 *   image of any size may have
 * @returns {{show: (index: number | null) => void, load: (index: number) => Promise<object>}} `show` marks an image,
 *   `load` reads one of the page's
 */
export function makeInputs(model, { onPick, onOwn, mostPixels }) {
  const mark = makeThumbs(byId("thumbs"), "image", model.images, onPick);
  const loaded = new Map();
  const canDraw = model.input_shape[0] === 1 && !model.spatial;
  const canvas = byId("input");
  if (canDraw) canvas.id = "draw";

  const own = (pixels, title, size) => {
    const picture = { ...preprocess(pixels, model, mostPixels()), title, index: null };
    if (model.spatial) Object.assign(picture, fullOf(pixels, picture, size, model));
    showMessage();
    onOwn(picture);
  };
  const ownFile = async (file) => {
    try {
      const { pixels, size } = await readImage(file);
      drawing?.leave();
      own(pixels, "your image", size);
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      showMessage(error.message);
    }
  };

  const size = model.input_shape.slice(1);
  const drawing = canDraw ? makeDrawing(canvas, size, (pixels) => own(pixels, "your drawing", size)) : null;
  byId("clear").hidden = !canDraw;
  byId("draw-hint").hidden = !canDraw;
  byId("clear").addEventListener("click", () => drawing.clear());
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files.length > 0) ownFile(target.files[0]);
    target.value = "";
  });
  byId("save").addEventListener("click", () => save(canvas));
  makeCamera(ownFile);
  listenForPaste(ownFile);
  listenForDrop(ownFile);

  return {
    show: (index) => {
      mark(index);
      if (index !== null) drawing?.leave();
    },
    load: async (index) => {
      if (!loaded.has(index)) loaded.set(index, await loadImage(model, index));
      return loaded.get(index);
    },
  };
}

/** What a picture that was scaled down says of that, and how it is computed at its own size, or near it. */
function fullOf(pixels, picture, [ownWidth, ownHeight], model) {
  if (picture.width === ownWidth && picture.height === ownHeight) return {};
  const { title, index } = picture;
  const [height, width] = fitted([pixels.height, pixels.width], model.limits.pixels);
  const sizes = `from ${ownWidth} × ${ownHeight} to ${picture.width} × ${picture.height} pixels`;
  if (height * width <= picture.height * picture.width) {
    return { note: `Scaled down ${sizes}, the most that this page computes.` };
  }
  const isOwn = width === ownWidth && height === ownHeight;
  const most = ` The most that this page computes is ${width} × ${height}.`;
  const load = () => ({ ...preprocess(pixels, model, model.limits.pixels), title, index });
  return {
    note: `Scaled down ${sizes} while β turns, so that a step takes a moment.${isOwn ? "" : most}`,
    full: { height, width, load },
  };
}

/** Read an image of the page. Its pixels are exact: it has the size that the model takes. */
async function loadImage(model, index) {
  const { path, title, label } = model.images[index];
  const image = new Image();
  image.src = path;
  try {
    await image.decode();
  } catch {
    throw new PageError(`${path} could not be loaded. Check the connection and reload.`);
  }
  const pixels = pixelsOf(image, image.naturalWidth, image.naturalHeight);
  return { ...preprocess(pixels, model), title: label === null ? title : `${label}, ${title}`, index };
}

/** Save what a canvas shows, pixel by pixel, under the name that the Python code reads. */
function save(canvas) {
  canvas.toBlob((blob) => {
    const href = URL.createObjectURL(blob);
    element("a", { href, download: OWN_FILE }).click();
    URL.revokeObjectURL(href);
  });
}

function listenForPaste(onFile) {
  addEventListener("paste", ({ clipboardData }) => {
    const file = [...clipboardData.files][0];
    if (file) onFile(file);
  });
}

/** Take files that are dropped anywhere on the page; the input picture shows that it would. */
function listenForDrop(onFile) {
  const zone = byId("input-image");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("dropping");
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (relatedTarget === null) zone.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("dropping");
    const file = [...event.dataTransfer.files][0];
    if (file) onFile(file);
    else showMessage("What was dropped is not a file. Drop an image file, or copy the image and paste it here.");
  });
}
