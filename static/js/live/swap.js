// @ts-check
/** Pictures that are exchanged while a page stands. */

/** How long (ms) after a picture did not come it is asked for again, if it is still wanted. */
export const AGAIN_AFTER = 5_000;

/**
 * Show another picture once it is there: no flicker, and a preview that is already gone changes nothing. Tells the image
 * "swapped" when it is shown, and when one that did not come may be asked for again.
 * @param {HTMLImageElement} image
 * @param {string} address
 */
export function swap(image, address) {
  if (image.dataset.wanted === address) return;
  image.dataset.wanted = address;
  const next = new Image();
  next.addEventListener("load", () => {
    if (image.dataset.wanted !== address) return;
    image.src = address;
    image.hidden = false;
    image.dispatchEvent(new CustomEvent("swapped"));
  });
  next.addEventListener("error", () => {
    window.setTimeout(() => {
      if (image.dataset.wanted !== address) return;
      delete image.dataset.wanted;
      image.dispatchEvent(new CustomEvent("swapped"));
    }, AGAIN_AFTER);
  });
  next.src = address;
}
