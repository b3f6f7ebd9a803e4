// @ts-check
/** The viewer of the result and landing pages: slider or side by side, zoom, what lies under the slider, its ground. */

import { enhance, setZoom } from "./before_after.js";

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
  new ResizeObserver(fit).observe(viewer);
  fit();

  viewer.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (!button || !viewer.contains(button)) return;
    const { zoom: wanted, mode, under } = button.dataset;
    if (wanted) {
      zoom = wanted === "fit" ? "fit" : Number(wanted);
      fit();
    } else if (mode) {
      figure.dataset.mode = mode;
      fit();
    } else if (under) {
      before.src = under;
      before.alt = button.dataset.label ?? "";
      label.textContent = button.dataset.label ?? "";
    }
    if ((wanted || mode || under) && button.parentElement) press(button.parentElement, button);
  });

  // A row of the figures' table puts its picture under the slider.
  for (const row of document.querySelectorAll("button[data-show-under]")) {
    row.addEventListener("click", () => {
      const wanted = /** @type {HTMLElement} */ (row).dataset.showUnder;
      const target = /** @type {HTMLElement | null} */ (viewer.querySelector(`button[data-under-name="${wanted}"]`));
      target?.click();
      viewer.scrollIntoView({ block: "nearest" });
    });
  }
}

for (const viewer of document.querySelectorAll("[data-viewer]")) start(/** @type {HTMLElement} */ (viewer));
