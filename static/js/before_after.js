// @ts-check
/**
 * A before/after slider over two pictures that lie on each other, from the middle, with labels.
 *
 * Markup: <figure data-compare data-mode="slider" or "side"> holds .frame, which scrolls, with .stage in it: img.before
 * and img.after (each with alt text), labels, .divider and a range input (for keys and screen readers; step="any", by
 * which a key moves it 1 % while the pointer stays fine). The mouse works on the whole stage; see `takes` for touch.
 */

/** Two labels side by side need so much (px); on a narrower stage they stand above it and the handle below. */
const NARROW = 160;

const SCROLLS = "The pictures are larger than this frame: arrow keys move them";

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
    if (event.button !== 0 || !takes(figure, event)) return;
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

  // In the next frame: what is settled changes the heights of what is observed.
  const observer = new ResizeObserver(() => requestAnimationFrame(() => settle(figure)));
  for (const part of [stage, stage.parentElement]) if (part) observer.observe(part);
}

/**
 * Whether the divider follows this pointer. Fingers and pens move an enlarged picture, so there they need the handle.
 * @param {HTMLElement} figure
 * @param {PointerEvent} event
 */
function takes(figure, event) {
  if (figure.dataset.mode === "side") return false;
  if (event.pointerType === "mouse" || !("overflows" in figure.dataset)) return true;
  return event.target instanceof Element && event.target.closest(".divider") !== null;
}

/**
 * Give the stage the proportions of a picture and the largest size that its frame allows.
 * `zoom`: "fit", or CSS pixels per pixel of the picture, in every mode (viewer.css has the widths).
 * @param {HTMLElement} figure
 * @param {{width: number, height: number}} size  of the finer picture, px
 * @param {"fit" | number} zoom
 */
export function setZoom(figure, size, zoom) {
  const stage = /** @type {HTMLElement} */ (figure.querySelector(".stage"));
  stage.style.aspectRatio = `${size.width} / ${size.height}`;
  stage.style.setProperty("--ratio", String(size.width / size.height));
  stage.style.setProperty("--natural", `${size.width}px`);
  stage.style.setProperty("--zoom", String(zoom === "fit" ? 1 : zoom));
  figure.dataset.zoom = String(zoom);
  settle(figure);
}

/**
 * What follows from the size that the pictures have come to.
 * @param {HTMLElement} figure
 */
function settle(figure) {
  const stage = /** @type {HTMLElement} */ (figure.querySelector(".stage"));
  const before = /** @type {HTMLImageElement} */ (stage.querySelector("img.before"));
  const after = /** @type {HTMLImageElement} */ (stage.querySelector("img.after"));
  const { width } = stage.getBoundingClientRect();
  if (!width) return; // not shown
  // Pixels are judged as they are: no smoothing once a pixel is wider than one on the screen.
  const natural = Math.max(before.naturalWidth, after.naturalWidth);
  const enlarged = natural > 0 && after.getBoundingClientRect().width > natural * 1.5;
  stage.dataset.pixels = enlarged ? "hard" : "soft";
  figure.toggleAttribute("data-narrow", width < NARROW);

  const frame = /** @type {HTMLElement} */ (stage.parentElement);
  const overflows = frame.scrollWidth > frame.clientWidth || frame.scrollHeight > frame.clientHeight;
  figure.toggleAttribute("data-overflows", overflows);
  if (!overflows) for (const name of ["tabindex", "role", "aria-label"]) frame.removeAttribute(name);
  else {
    frame.tabIndex = 0; // by which arrow keys scroll it
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", SCROLLS);
  }
}
