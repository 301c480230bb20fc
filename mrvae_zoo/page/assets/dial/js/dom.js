// Short ways to say what the page does with its elements.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element: element("button", {type: "button", class: "quiet"}, "Clear"). Properties that start with "on" are
 * listeners; null and false are left out.
 */
export function element(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

/** Make an element of a drawing, as `element` does. */
export function drawn(name, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

function filled(made, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Show an error in the message area, where a screen reader says it at once. Without a text the area is empty. */
export function showMessage(text = "") {
  byId("message").textContent = text;
}

/** Return a function that calls another one at most once in a while, with the newest arguments. */
export function throttled(call, milliseconds) {
  let timer = null;
  let newest;
  return (...values) => {
    newest = values;
    timer ??= setTimeout(() => {
      timer = null;
      call(...newest);
    }, milliseconds);
  };
}
