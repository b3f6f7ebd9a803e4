// @ts-check
/** The learning curve of one fit, with the look that was taken, and a marker that the slider moves. */

import uPlot from "../../vendor/uPlot-1.6.32/uPlot.esm.js";
import { axisStyle, token, whenGroundChanges } from "../chart_style.js";
import { decibelRange, described } from "./learning.js";

/** @typedef {import("./learning.js").Look} Look */

const HEIGHT = 180;

/**
 * Columns of uPlot: iteration, PSNR, and PSNR again where the output was taken.
 * @param {readonly Look[]} curve
 * @param {number | null} best
 * @returns {[number[], number[], (number | null)[]]}
 */
export function columns(curve, best) {
  return [
    curve.map(([iteration]) => iteration),
    curve.map(([, psnr]) => psnr),
    curve.map(([iteration, psnr]) => (iteration === best ? psnr : null)),
  ];
}

export class LearningChart {
  /**
   * @param {HTMLElement} place  holds the chart
   * @param {HTMLElement} marker  lies over it
   */
  constructor(place, marker) {
    this.place = place;
    this.marker = marker;
    /** @type {readonly Look[]} */
    this.curve = [];
    /** @type {number | null} */
    this.best = null;
    this.of = 1;
    this.at = 0;
    /** @type {any} */
    this.chart = null;
    new ResizeObserver(() => this.chart?.setSize({ width: this.width(), height: HEIGHT })).observe(place);
    whenGroundChanges(() => this.build());
  }

  width() {
    return Math.max(160, this.place.clientWidth);
  }

  build() {
    this.chart?.destroy();
    this.chart = new (/** @type {any} */ (uPlot))(this.options(), columns(this.curve, this.best), this.place);
  }

  options() {
    const axis = axisStyle();
    const taken = token("--accent");
    return {
      width: this.width(),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 12, 0, 0],
      // The chart lays itself out a moment after it is made or given its figures.
      hooks: { draw: [() => this.placeMarker()] },
      scales: {
        x: { time: false, range: () => [0, this.of] },
        y: { range: () => decibelRange(this.curve.map(([, psnr]) => psnr)) },
      },
      axes: [
        { ...axis, size: 32, values: (/** @type {any} */ _c, /** @type {number[]} */ at) => at.map(String) },
        { ...axis, size: 56, values: (/** @type {any} */ _c, /** @type {number[]} */ at) => at.map((value) => value.toFixed(1)) },
      ],
      series: [
        {},
        { stroke: token("--curve-mean"), width: 1.5, points: { show: () => this.curve.length < 2 } },
        { stroke: "transparent", width: 0, points: { show: true, size: 10, fill: taken, stroke: taken } },
      ],
    };
  }

  /**
   * @param {readonly Look[]} curve
   * @param {number} of  iterations that the fit may take, or has done
   * @param {number | null} best
   */
  show(curve, of, best) {
    this.curve = curve;
    this.best = best;
    this.of = Math.max(1, of, curve.length > 0 ? curve[curve.length - 1][0] : 0);
    this.place.setAttribute("aria-label", described(curve, best));
    if (this.chart) this.chart.setData(columns(curve, best));
    else this.build();
  }

  /** @param {number} iteration */
  mark(iteration) {
    this.at = iteration;
    this.placeMarker();
  }

  placeMarker() {
    this.marker.hidden = !this.chart;
    if (!this.chart) return;
    const { left, top, height } = this.chart.over.getBoundingClientRect();
    const place = this.place.getBoundingClientRect();
    const x = left - place.left + this.chart.valToPos(Math.min(this.at, this.of), "x");
    this.marker.style.transform = `translateX(${x.toFixed(1)}px)`;
    this.marker.style.top = `${(top - place.top).toFixed(1)}px`;
    this.marker.style.height = `${height.toFixed(1)}px`;
    this.marker.dataset.iteration = String(this.at);
  }
}
