// @ts-check
/** The box with three lines: what happened; what is safe; what to do. */

import { Problem } from "./http.js";

/**
 * @param {{kind?: "error" | "warning", what: string, safe?: string, remedy?: string,
 *   action?: {label: string, run: () => void}}} told
 * @returns {HTMLElement}
 */
export function notice({ kind = "error", what, safe = "", remedy = "", action }) {
  const box = document.createElement("div");
  box.className = "notice";
  box.dataset.kind = kind;
  box.dataset.testid = "notice";
  box.setAttribute("role", kind === "error" ? "alert" : "status");
  const first = document.createElement("strong");
  first.textContent = what;
  box.append(first);
  for (const line of [safe, remedy]) {
    if (!line) continue;
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    box.append(paragraph);
  }
  if (action) {
    const row = document.createElement("div");
    row.className = "row";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = action.label;
    button.addEventListener("click", action.run);
    row.append(button);
    box.append(row);
  }
  return box;
}

/**
 * Put one notice in a place, instead of what stood there.
 * @param {HTMLElement} place
 * @param {unknown} error
 * @param {{safe?: string, action?: {label: string, run: () => void}}} [more]
 */
export function showProblem(place, error, more = {}) {
  const known = error instanceof Problem;
  if (!known) console.error(error);
  const stranger = known && error.status === 401;
  place.replaceChildren(
    notice({
      what: known ? error.message : "Something went wrong on this page.",
      safe: (known && error.safe) || more.safe,
      remedy: known ? error.remedy : "Load the page again; what the server has is kept.",
      // A page that is loaded anew leads to the login and back.
      action: stranger ? { label: "Log in again", run: () => window.location.reload() } : more.action,
    }),
  );
  place.hidden = false;
}
