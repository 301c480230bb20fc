// Tabs by the pattern of the ARIA practices: arrow keys move and select, only the selected tab is in the tab order.

import { byId } from "./dom.js";

/**
 * Make the tabs work.
 * @param {string[]} names of the tabs; there are elements tab-NAME and panel-NAME
 * @param {(name: string) => void} onSelect
 * @returns {(name: string) => void} shows a tab
 */
export function makeTabs(names, onSelect) {
  const tabs = names.map((name) => byId(`tab-${name}`));
  document.querySelectorAll('[role="tab"]').forEach((tab) => (tab.hidden = !tabs.includes(tab)));
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => onSelect(names[i]));
    tab.addEventListener("keydown", (event) => {
      const last = names.length - 1;
      const targets = { ArrowRight: i === last ? 0 : i + 1, ArrowLeft: i === 0 ? last : i - 1, Home: 0, End: last };
      if (!(event.key in targets)) return;
      event.preventDefault();
      tabs[targets[event.key]].focus();
      onSelect(names[targets[event.key]]);
    });
  });
  return (name) => {
    names.forEach((each, i) => {
      tabs[i].setAttribute("aria-selected", each === name);
      tabs[i].tabIndex = each === name ? 0 : -1;
      byId(`panel-${each}`).hidden = each !== name;
    });
  };
}
