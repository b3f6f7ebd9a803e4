// @ts-check
/** History: filters apply when chosen, cards of running restorations keep up. */

import "./deletion.js";
import { Problem, request } from "./http.js";

const LOOK_EVERY = 5_000;
const ENDED = new Set(["done", "cancelled", "failed"]);

/**
 * Filters apply as soon as one is chosen. The arrow keys go through the choices first: those apply at Enter or when the field
 * is left.
 * @param {HTMLFormElement} form
 */
function applyFilters(form) {
  const selects = [...form.querySelectorAll("select")];
  const changed = () =>
    selects.some(
      (select) =>
        select.value !== (/** @type {HTMLOptionElement | null} */ (select.querySelector("option[selected]"))?.value ?? ""),
    );
  for (const select of selects) {
    let goingThrough = false;
    select.addEventListener("pointerdown", () => {
      goingThrough = false;
    });
    select.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && goingThrough && changed()) {
        event.preventDefault();
        form.requestSubmit();
      }
      // With Alt the arrows open the list: what is chosen there is meant.
      goingThrough = !event.altKey && event.key !== " " && event.key !== "Enter";
    });
    select.addEventListener("change", () => goingThrough || form.requestSubmit());
    select.addEventListener("blur", () => goingThrough && changed() && form.requestSubmit());
  }
  // What was chosen before this script came counts, too (the form has `autocomplete=off`: no browser fills it in).
  if (changed()) form.requestSubmit();
  // Back from the filtered list the browser may show this one as it was left: with a filter that it does not have.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) form.reset();
  });
}

/** The card as the site shows it now: with its result and what may be done. @param {HTMLElement} card */
async function renew(card) {
  const answer = await fetch(window.location.href, { credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const own = page.querySelector(`[data-job="${CSS.escape(card.dataset.job ?? "")}"]`);
  if (answer.ok && own) card.replaceWith(document.adoptNode(own));
}

/** @param {HTMLElement} card */
async function follow(card) {
  const address = card.dataset.follow;
  if (!address || document.visibilityState === "hidden") return;
  let job;
  try {
    job = await request(address);
    const word = /** @type {HTMLElement} */ (card.querySelector("[data-state-word]"));
    word.dataset.state = job.state;
    word.textContent = job.state;
    const gain = /** @type {HTMLElement} */ (card.querySelector("[data-gain]"));
    if (job.best_fitness !== null) gain.textContent = `fitness ${job.best_fitness.toFixed(3)}`;
    if (ENDED.has(job.state)) await renew(card);
  } catch (error) {
    // The next look tries again; the card keeps what it showed last. Who is not logged in any more is asked to.
    if (error instanceof Problem && error.status === 401) window.location.reload();
  }
}

const filters = document.querySelector("form[data-filters]");
if (filters instanceof HTMLFormElement) applyFilters(filters);

window.setInterval(() => {
  for (const card of document.querySelectorAll("[data-follow]")) follow(/** @type {HTMLElement} */ (card));
}, LOOK_EVERY);
