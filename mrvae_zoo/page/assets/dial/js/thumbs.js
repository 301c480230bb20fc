// Small pictures to pick one from: radio buttons, so that arrow keys work and a screen reader counts them.

import { element } from "./dom.js";

/**
 * Fill an element with the images of the page.
 * @param {HTMLElement} container
 * @param {string} name of the group of radio buttons
 * @param {{path: string, title: string, label: string | null}[]} images
 * @param {(index: number) => void} onPick
 * @returns {(index: number | null) => void} marks an image; null marks none
 */
export function makeThumbs(container, name, images, onPick) {
  const radios = images.map(({ path, title, label }, i) => {
    const alt = label === null ? title : `${label}, ${title}`;
    const radio = element("input", {
      type: "radio",
      name,
      class: "unseen",
      "aria-label": alt,
      onchange: () => onPick(i),
    });
    const picture = element("img", { src: path, alt: "", decoding: "async", draggable: "false" });
    container.append(element("label", { class: "thumb", title: alt }, radio, picture));
    return radio;
  });
  return (index) => radios.forEach((radio, i) => (radio.checked = i === index));
}
