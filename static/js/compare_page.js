// @ts-check
/** The viewer of the result and landing pages: slider or side by side, zoom, what lies under the slider, its ground. */

import { enhance, setZoom } from "./before_after.js";
import { Problem } from "./http.js";
import { showProblem } from "./notice.js";

const GROUND = "nasdip.ground";

/** @param {HTMLElement} viewer */
function listenToGround(viewer) {
  const button = viewer.querySelector("[data-ground-switch]");
  if (!button) return;
  const kept = localStorage.getItem(GROUND);
  if (kept) viewer.dataset.ground = kept;
  button.addEventListener("click", () => {
    const dark = viewer.dataset.ground
      ? viewer.dataset.ground === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    viewer.dataset.ground = dark ? "light" : "dark";
    localStorage.setItem(GROUND, viewer.dataset.ground);
  });
}

/**
 * @param {ParentNode} group
 * @param {HTMLElement} chosen
 */
function press(group, chosen) {
  for (const button of group.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button === chosen));
  }
}

/** @param {HTMLElement} viewer */
function start(viewer) {
  const figure = /** @type {HTMLElement} */ (viewer.querySelector("[data-compare]"));
  const before = /** @type {HTMLImageElement} */ (figure.querySelector("img.before"));
  const after = /** @type {HTMLImageElement} */ (figure.querySelector("img.after"));
  const label = /** @type {HTMLElement} */ (figure.querySelector(".label.of-before"));
  enhance(figure);
  listenToGround(viewer);

  /** @type {"fit" | number} */
  let zoom = "fit";
  const fit = () => {
    const finer = after.naturalWidth >= before.naturalWidth ? after : before;
    if (finer.naturalWidth) setZoom(figure, { width: finer.naturalWidth, height: finer.naturalHeight }, zoom);
  };
  for (const picture of [before, after]) picture.addEventListener("load", fit);
  fit();

  viewer.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (!button || !viewer.contains(button)) return;
    const { zoom: wanted, mode } = button.dataset;
    if (wanted) {
      zoom = wanted === "fit" ? "fit" : Number(wanted);
      fit();
    } else if (mode) {
      figure.dataset.mode = mode;
      fit();
    }
    if ((wanted || mode) && button.parentElement) press(button.parentElement, button);
  });

  const select = /** @type {HTMLSelectElement | null} */ (viewer.querySelector("select[data-under]"));
  if (select) chooseUnder(viewer, select, before, label);
}

/**
 * What lies under the slider: chosen in the bar, or by the link of a row of the figures' table. Picture, alt text and
 * label change together, once the picture is there.
 * @param {HTMLElement} viewer
 * @param {HTMLSelectElement} select
 * @param {HTMLImageElement} before
 * @param {HTMLElement} label
 */
function chooseUnder(viewer, select, before, label) {
  const links = /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-show-under]"));
  const problems = /** @type {HTMLElement} */ (viewer.querySelector("[data-viewer-problems]"));
  let shown = before.getAttribute("src") ?? "";
  /** @type {HTMLImageElement | null} The picture that was asked for last: an earlier one may come later. */
  let awaited = null;

  /** @param {string} address @param {string} text */
  const put = (address, text) => {
    awaited = null;
    shown = address;
    before.src = address;
    before.alt = text;
    label.textContent = text;
    for (const link of links) link.setAttribute("aria-current", String(link.getAttribute("href") === address));
  };
  /** @param {string} address @param {string} text */
  const giveUp = (address, text) => {
    awaited = null;
    select.value = shown;
    const told = new Problem(`The picture for "${text}" could not be loaded.`, {
      safe: `"${label.textContent}" is shown as before.`,
    });
    const again = () => {
      select.focus(); // the button is about to go
      select.value = address;
      show();
    };
    showProblem(problems, told, { action: { label: "Try again", run: again } });
  };
  const show = () => {
    const address = select.value;
    const text = select.selectedOptions[0]?.dataset.label ?? "";
    problems.replaceChildren();
    problems.hidden = true;
    awaited = null;
    if (address === shown) return;
    const next = new Image();
    awaited = next;
    next.addEventListener("load", () => awaited === next && put(address, text));
    next.addEventListener("error", () => awaited === next && giveUp(address, text));
    next.src = address;
  };

  select.addEventListener("change", show);
  show(); // a reloaded page keeps its choice
  for (const link of links) {
    link.addEventListener("click", (event) => {
      // As a link with a modifier, or without this script, it gives the picture itself.
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      select.value = link.getAttribute("href") ?? "";
      show();
      viewer.scrollIntoView({ block: "nearest" });
    });
  }
}

for (const viewer of document.querySelectorAll("[data-viewer]")) start(/** @type {HTMLElement} */ (viewer));
