// Drawing: a white brush on black, scaled down to what the model takes while one draws.

import { pixelsOf } from "./preprocess.js";

const SCALE = 8; // pixels of the drawing for one of the model
const BRUSH = 0.075; // width of a stroke as a share of the image, as in MNIST

/**
 * Let the pointer draw on a canvas. The strokes themselves are kept aside; the canvas shows what the model sees.
 * @param {HTMLCanvasElement} canvas
 * @param {[number, number]} size height and width that the model takes
 * @param {(pixels: ImageData) => void} onDraw called with the drawing while it grows
 * @returns {{clear: () => void, leave: () => void}} `clear` begins an empty drawing, `leave` says that the canvas shows
 *   something else now, so that the next stroke begins a new one
 */
export function makeDrawing(canvas, [height, width], onDraw) {
  const board = Object.assign(document.createElement("canvas"), { width: width * SCALE, height: height * SCALE });
  const context = board.getContext("2d", { willReadFrequently: true });
  let drawing = false;

  const send = () => onDraw(pixelsOf(board, board.width, board.height));
  const blank = () => {
    drawing = true;
    context.fillStyle = "black";
    context.fillRect(0, 0, board.width, board.height);
    Object.assign(context, {
      strokeStyle: "white",
      lineWidth: BRUSH * board.width,
      lineCap: "round",
      lineJoin: "round",
    });
  };
  const placeOf = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * board.width, ((clientY - box.top) / box.height) * board.height];
  };
  const stroke = (from, to) => {
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!drawing) blank();
    let last = placeOf(event);
    const follow = (moved) => {
      const events = moved.getCoalescedEvents?.() ?? [];
      for (const each of events.length > 0 ? events : [moved]) {
        const next = placeOf(each);
        stroke(last, next);
        last = next;
      }
      send();
    };
    canvas.setPointerCapture(event.pointerId);
    canvas.addEventListener("pointermove", follow);
    canvas.addEventListener("lostpointercapture", () => canvas.removeEventListener("pointermove", follow), {
      once: true,
    });
    stroke(last, last);
    send();
  });

  return {
    clear: () => {
      blank();
      send();
    },
    leave: () => (drawing = false),
  };
}
