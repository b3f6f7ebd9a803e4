// @ts-check
/**
 * The final fit, watched: one still at a time, one slider over all of them, and the curve with the slider's place.
 *
 * The stills are a list in the page; without this module they are a plain row of pictures.
 */

import { LearningChart } from "./chart.js";
import { caption, sentences, spoken, stillsOf } from "./learning.js";

/** @typedef {import("./learning.js").Learning} Learning */
/** @typedef {import("./learning.js").Still} Still */

export class Watch {
  /**
   * @param {HTMLElement} root  the section
   * @param {(picture: string) => string} address  of a still's picture
   */
  constructor(root, address) {
    this.root = root;
    this.address = address;
    this.list = this.part("[data-watch-stills]");
    this.slider = /** @type {HTMLInputElement} */ (this.part("[data-watch-slider]"));
    /** @type {readonly Still[]} */
    this.stills = [];
    /** @type {Learning | null} */
    this.learning = null;
    /** Whether the newest still is shown as soon as it is there, then the one that is taken; ends when somebody moves the slider. */
    this.follows = true;
    this.chart = new LearningChart(this.part("[data-watch-chart]"), this.part("[data-watch-marker]"));
    root.dataset.enhanced = "";
    this.slider.addEventListener("input", () => {
      // Once a still is taken nothing new comes: wherever the slider is put, it stays.
      this.follows = Number(this.slider.value) === this.stills.length - 1 && !this.stills.some((still) => still.taken);
      this.place();
    });
  }

  /** @param {string} selector @returns {HTMLElement} */
  part(selector) {
    const found = this.root.querySelector(selector);
    if (!(found instanceof HTMLElement)) throw new Error(`the section has no ${selector}`);
    return found;
  }

  /**
   * Show what is known now; the still that is looked at stays, unless the newest one is followed.
   * @param {Learning} learning
   */
  show(learning) {
    if (learning === this.learning) return;
    const looked = this.stills[Number(this.slider.value)]?.iteration;
    this.learning = learning;
    this.stills = stillsOf(learning);
    this.showStills();
    const taken = this.stills.findIndex((still) => still.taken);
    const newest = taken >= 0 ? taken : this.stills.length - 1;
    const same = this.stills.findIndex((still) => still.iteration === looked);
    this.slider.max = String(Math.max(0, this.stills.length - 1));
    this.slider.value = String(this.follows || same < 0 ? newest : same);
    this.slider.hidden = this.stills.length < 2;
    this.root.hidden = this.stills.length === 0 && learning.curve.length === 0; // a chart needs room to be drawn in
    this.showCurve(learning);
    this.place();
  }

  showStills() {
    const known = new Map([...this.list.children].map((item) => [/** @type {HTMLElement} */ (item).dataset.iteration, item]));
    this.list.replaceChildren(
      ...this.stills.map((still) => {
        const item = /** @type {HTMLElement} */ (known.get(String(still.iteration)) ?? listItem());
        const image = /** @type {HTMLImageElement} */ (item.querySelector("img"));
        const address = this.address(still.picture);
        if (image.getAttribute("src") !== address) image.src = address;
        image.alt = `After ${still.iteration} iteration${still.iteration === 1 ? "" : "s"}`;
        item.dataset.iteration = String(still.iteration);
        item.toggleAttribute("data-taken", still.taken);
        /** @type {HTMLElement} */ (item.querySelector("figcaption")).textContent = caption(still);
        return item;
      }),
    );
  }

  /** @param {Learning} learning */
  showCurve(learning) {
    const { curve, best } = learning;
    this.part("[data-watch-curve]").hidden = curve.length === 0;
    this.part("[data-watch-figures]").hidden = curve.length === 0;
    if (curve.length > 0) this.chart.show(curve, learning.iterations ?? learning.of, best);
  }

  /** The sentences and the table, where the page does not bring them. @param {Learning} learning */
  tell(learning) {
    this.part("[data-watch-words]").replaceChildren(
      ...sentences(learning).map((sentence) => {
        const paragraph = document.createElement("p");
        paragraph.textContent = sentence;
        return paragraph;
      }),
    );
    this.part("[data-watch-rows]").replaceChildren(
      ...learning.curve.map(([iteration, psnr]) => {
        const row = document.createElement("tr");
        for (const value of [String(iteration), psnr.toFixed(3)]) {
          const cell = document.createElement("td");
          cell.className = "number";
          cell.textContent = value;
          row.append(cell);
        }
        return row;
      }),
    );
  }

  /** Show the still at the slider's place. */
  place() {
    const at = Number(this.slider.value);
    const still = this.stills[at];
    if (!still) return;
    [...this.list.children].forEach((item, number) => item.toggleAttribute("data-shown", number === at));
    this.slider.setAttribute("aria-valuetext", spoken(still));
    this.part("[data-watch-figure]").textContent = caption(still);
    this.chart.mark(still.iteration);
  }
}

function listItem() {
  const [item, figure, image, words] = ["li", "figure", "img", "figcaption"].map((name) => document.createElement(name));
  figure.append(image, words);
  item.append(figure);
  return item;
}
