// @ts-check
/** History: filters apply when chosen, cards of running restorations keep up. */

import "./deletion.js";
import { request } from "./http.js";

const LOOK_EVERY = 5_000;
const ENDED = new Set(["done", "cancelled", "failed"]);

const filters = document.querySelector("form[data-filters]");
if (filters instanceof HTMLFormElement) {
  filters.addEventListener("change", (event) => {
    if (event.target instanceof HTMLSelectElement) filters.requestSubmit();
  });
  // What was chosen before this script came counts, too (the form has `autocomplete=off`: no browser fills it in).
  const changed = [...filters.querySelectorAll("select")].some(
    (select) => select.value !== (/** @type {HTMLOptionElement | null} */ (select.querySelector("option[selected]"))?.value ?? ""),
  );
  if (changed) filters.requestSubmit();
  // Back from the filtered list the browser may show this one as it was left: with a filter that it does not have.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) filters.reset();
  });
}

/** @param {HTMLElement} card */
async function follow(card) {
  const address = card.dataset.follow;
  if (!address || document.visibilityState === "hidden") return;
  let job;
  try {
    job = await request(address);
  } catch {
    return; // the next look tries again; the card keeps what it showed last
  }
  const word = /** @type {HTMLElement} */ (card.querySelector("[data-state-word]"));
  word.dataset.state = job.state;
  word.textContent = job.state;
  const gain = /** @type {HTMLElement} */ (card.querySelector("[data-gain]"));
  if (job.best_fitness !== null) gain.textContent = `fitness ${job.best_fitness.toFixed(3)}`;
  if (ENDED.has(job.state)) {
    delete card.dataset.follow;
    if (job.state === "done") window.location.reload();
  }
}

const moving = [...document.querySelectorAll("[data-follow]")];
if (moving.length > 0) {
  window.setInterval(() => {
    for (const card of moving) follow(/** @type {HTMLElement} */ (card));
  }, LOOK_EVERY);
}
