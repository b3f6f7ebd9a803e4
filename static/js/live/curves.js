// @ts-check
/** Best and mean fitness by generation, with the band from worst to best; beside it the same as a table. */

import uPlot from "../../vendor/uPlot-1.6.32/uPlot.esm.js";
import { axisStyle, token, whenGroundChanges } from "../chart_style.js";

/** @typedef {import("./reducer.js").CurvePoint} CurvePoint */

const HEIGHT = 240;

/**
 * Curves as uPlot's columns: generation, best, mean, worst.
 * @param {readonly CurvePoint[]} curve
 * @returns {[number[], number[], number[], number[]]}
 */
export function columns(curve) {
  return [
    curve.map((point) => point.generation),
    curve.map((point) => point.best),
    curve.map((point) => point.mean),
    curve.map((point) => point.worst),
  ];
}

/**
 * The range of the fitness axis: what is there with a tenth of room; never flatter than 0.02.
 * @param {number} low
 * @param {number} high
 * @returns {[number, number]}
 */
export function axisRange(low, high) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const room = Math.max((high - low) * 0.1, 0.01);
  return [Math.max(0, low - room), Math.min(1, high + room)];
}

export class Curves {
  /**
   * @param {HTMLElement} place  holds the chart
   * @param {HTMLTableSectionElement} rows  body of the table of figures
   * @param {number} generations  how many the search may have
   */
  constructor(place, rows, generations) {
    this.place = place;
    this.rows = rows;
    this.generations = Math.max(2, generations);
    /** @type {readonly CurvePoint[]} */
    this.curve = [];
    /** @type {any} */
    this.chart = null;
    new ResizeObserver(() => this.chart?.setSize({ width: Math.max(160, place.clientWidth), height: HEIGHT })).observe(
      place,
    );
    whenGroundChanges(() => this.build());
    this.build();
  }

  build() {
    this.chart?.destroy();
    this.chart = new (/** @type {any} */ (uPlot))(this.options(), columns(this.curve), this.place);
  }

  options() {
    const axis = axisStyle();
    const line = (/** @type {string} */ label, /** @type {string} */ stroke, /** @type {object} */ more) => ({
      label,
      stroke,
      width: 2,
      points: { show: true, size: 6, fill: stroke, stroke },
      ...more,
    });
    return {
      width: Math.max(160, this.place.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 12, 0, 0],
      scales: {
        x: { time: false, range: () => [0, this.generations - 1] },
        y: { range: (/** @type {any} */ _chart, /** @type {number} */ low, /** @type {number} */ high) => axisRange(low, high) },
      },
      axes: [
        { ...axis, size: 32, incrs: [1, 2, 5, 10, 20, 50], values: (/** @type {any} */ _c, /** @type {number[]} */ at) => at.map(String) },
        { ...axis, size: 56, values: (/** @type {any} */ _c, /** @type {number[]} */ at) => at.map((value) => value.toFixed(2)) },
      ],
      series: [
        {},
        line("best", token("--accent"), {}),
        line("mean", token("--curve-mean"), { width: 1.5 }),
        line("worst", "transparent", { width: 0, points: { show: false } }),
      ],
      bands: [{ series: [1, 3], fill: token("--curve-band") }],
    };
  }

  /** @param {readonly CurvePoint[]} curve */
  show(curve) {
    if (curve === this.curve) return;
    this.curve = curve;
    this.chart.setData(columns(curve));
    this.place.setAttribute("aria-label", described(curve));
    this.rows.replaceChildren(
      ...curve.map((point) => {
        const row = document.createElement("tr");
        const values = [String(point.generation), ...[point.best, point.mean, point.worst].map((v) => v.toFixed(3))];
        for (const value of values) {
          const cell = document.createElement("td");
          cell.className = "number";
          cell.textContent = value;
          row.append(cell);
        }
        return row;
      }),
    );
  }
}

/** @param {readonly CurvePoint[]} curve */
export function described(curve) {
  if (curve.length === 0) return "Fitness by generation: no generation is closed yet.";
  const last = curve[curve.length - 1];
  const first = curve[0];
  return (
    `Fitness by generation: best from ${first.best.toFixed(3)} in generation ${first.generation} ` +
    `to ${last.best.toFixed(3)} in generation ${last.generation}, mean ${last.mean.toFixed(3)}.`
  );
}
