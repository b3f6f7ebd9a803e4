// @ts-check
/** One click takes a shipped sample in as one's own picture and opens it. */

import { apiRoot, request } from "./http.js";
import { showProblem } from "./notice.js";

/**
 * Where the page of a picture is; the template gives the address with a placeholder for the picture's id.
 * @param {string} template
 * @param {string} id
 */
export function addressOf(template, id) {
  return template.replace("00000000-0000-0000-0000-000000000000", id);
}

/** @param {HTMLElement} place  where a refusal is shown */
export function listenToSamples(place) {
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("button[data-sample]"));
  const busy = (/** @type {HTMLButtonElement} */ button, /** @type {boolean} */ on) => {
    button.disabled = on;
    if (on) button.setAttribute("aria-busy", "true");
    else button.removeAttribute("aria-busy");
  };
  // Back from the picture's page the browser may show this one as it was left.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) for (const button of buttons) busy(button, false);
  });
  for (const button of buttons) {
    busy(button, false); // the page has them disabled until this listens
    button.addEventListener("click", async () => {
      const { sample, compose } = button.dataset;
      busy(button, true);
      try {
        const taken = await request(`${apiRoot()}samples/${sample}`, { method: "POST" });
        const query = new URLSearchParams({ task: taken.task, factor: String(taken.factor) });
        window.location.assign(`${addressOf(compose ?? "", taken.id)}?${query}`);
      } catch (error) {
        showProblem(place, error);
        busy(button, false);
      }
    });
  }
}

const place = document.querySelector("[data-sample-problems]");
if (place instanceof HTMLElement) listenToSamples(place);
