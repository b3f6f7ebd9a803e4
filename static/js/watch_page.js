// @ts-check
/** The result page's stills: the list, the table and the words are in the page already. */

import { Watch } from "./watch/watch.js";

/**
 * What the section of a result says, read from its list and its table.
 * @param {HTMLElement} root
 * @returns {import("./watch/learning.js").Learning}
 */
export function readLearning(root) {
  const items = [...root.querySelectorAll("[data-watch-stills] > li")].map((item) => /** @type {HTMLElement} */ (item));
  const rows = [...root.querySelectorAll("[data-watch-rows] tr")];
  const iteration = (/** @type {HTMLElement} */ item) => Number(item.dataset.iteration);
  const taken = items.find((item) => item.dataset.taken !== undefined);
  const last = items[items.length - 1];
  return {
    genome: "",
    tile: 0,
    tiles: 1,
    of: last ? iteration(last) : 0,
    curve: rows.map((row) => {
      const cells = /** @type {HTMLTableRowElement} */ (row).cells;
      return [Number(cells[0].textContent), Number(cells[1].textContent)];
    }),
    stills: items.map((item) => [iteration(item), item.querySelector("img")?.getAttribute("src") ?? ""]),
    best: taken ? iteration(taken) : null,
    iterations: last ? iteration(last) : null,
    again: null,
  };
}

for (const section of document.querySelectorAll("[data-watch]")) {
  const root = /** @type {HTMLElement} */ (section);
  new Watch(root, (picture) => picture).show(readLearning(root));
}
