/** Filters over cards, by data and by architecture. What is chosen stands in the address, so that it can be shared. */

const GROUPS = { data: "Data", architecture: "Architecture" };

/** Put filters above the cards of `gallery` (`.cards > .card`, which say what they are in data attributes). */
export function addFilters(gallery) {
  const cards = [...gallery.querySelectorAll(".card")];
  const filters = document.createElement("div");
  filters.className = "filters";
  for (const [key, label] of Object.entries(GROUPS)) filters.append(group(key, label, cards));
  const shown = document.createElement("p");
  shown.className = "shown";
  shown.setAttribute("role", "status");
  filters.append(shown);
  gallery.querySelector(".cards").before(filters);

  filters.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const chosen = read();
    const { key, value } = button.dataset;
    if (value === "" || chosen.get(key) === value) chosen.delete(key);
    else chosen.set(key, value);
    history.replaceState(null, "", `${location.pathname}${location.search}${hash(chosen)}`);
    show(cards, filters);
  });
  addEventListener("hashchange", () => show(cards, filters));
  show(cards, filters);
}

/** The buttons of one key: all, and one for each value that a card has. */
function group(key, label, cards) {
  const made = document.createElement("div");
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", label);
  const title = document.createElement("span");
  title.className = "group";
  title.setAttribute("aria-hidden", "true");
  title.textContent = label;
  const values = [...new Set(cards.map((card) => card.dataset[key]))].sort();
  made.append(title, ...["", ...values].map((value) => button(key, value)));
  return made;
}

function button(key, value) {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.key = key;
  made.dataset.value = value;
  made.textContent = value === "" ? "all" : value.replace(/^mrvae_/, "").replaceAll("_", " ");
  return made;
}

/** What the address chooses: known keys alone. */
function read() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  for (const key of [...chosen.keys()]) if (!(key in GROUPS)) chosen.delete(key);
  return chosen;
}

function hash(chosen) {
  const text = chosen.toString();
  return text === "" ? "" : `#${text}`;
}

/** Show the cards that the address chooses, press their buttons, and say how many there are. */
function show(cards, filters) {
  const chosen = read();
  for (const card of cards) {
    card.hidden = [...chosen].some(([key, value]) => card.dataset[key] !== value);
  }
  for (const one of filters.querySelectorAll("button")) {
    one.setAttribute("aria-pressed", String((chosen.get(one.dataset.key) ?? "") === one.dataset.value));
  }
  const count = cards.filter((card) => !card.hidden).length;
  const status = filters.querySelector(".shown");
  if (count === 0) status.textContent = "No model matches both. Choose “all” in one of the rows.";
  else status.textContent = count === 1 ? "1 model" : `${count} models`;
}
