// @ts-check
/**
 * A before/after slider over two pictures that lie on each other, from the middle, with labels.
 *
 * Markup: <figure data-compare> holds .stage with img.before and img.after (each with alt text), labels and a
 * range input (for keys and screen readers). The pointer works on the whole stage.
 */

/** @param {HTMLElement} figure */
export function enhance(figure) {
  const stage = /** @type {HTMLElement} */ (figure.querySelector(".stage"));
  const range = /** @type {HTMLInputElement} */ (figure.querySelector('input[type="range"]'));

  const place = () => {
    figure.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${Math.round(100 - Number(range.value))} % after`);
  };
  range.addEventListener("input", place);
  place();

  /** @param {PointerEvent} event */
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    const at = Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
    range.value = (at * 100).toFixed(1);
    range.dispatchEvent(new Event("input", { bubbles: true }));
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    follow(event);
    range.focus({ preventScroll: true });
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) follow(event);
  });
  // Dragging would start the browser's own drag of a picture.
  stage.addEventListener("dragstart", (event) => event.preventDefault());
}

/**
 * Give the stage the proportions of a picture and the largest size that its frame allows.
 * `zoom`: "fit", or CSS pixels per pixel of the picture.
 * @param {HTMLElement} figure
 * @param {{width: number, height: number}} size  of the finer picture, px
 * @param {"fit" | number} zoom
 */
export function setZoom(figure, size, zoom) {
  const stage = /** @type {HTMLElement} */ (figure.querySelector(".stage"));
  stage.style.aspectRatio = `${size.width} / ${size.height}`;
  stage.style.setProperty("--ratio", String(size.width / size.height));
  stage.style.setProperty("--natural", `${size.width}px`);
  figure.dataset.zoom = String(zoom);
  if (zoom === "fit") stage.style.removeProperty("width");
  else stage.style.width = `${size.width * zoom}px`;
  // Pixels are judged as they are: no smoothing once a pixel is wider than one on the screen.
  const shown = stage.getBoundingClientRect().width;
  stage.dataset.pixels = shown > size.width * 1.5 ? "hard" : "soft";
}
