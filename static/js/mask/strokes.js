// @ts-check
/** A drawing is a list of strokes in picture coordinates; undo is as long as the list. Pure and immutable. */

/** @typedef {import("./raster.js").Point} Point */
/** @typedef {import("./raster.js").Stroke} Stroke */
/** @typedef {{readonly done: readonly Stroke[], readonly undone: readonly Stroke[]}} Drawing */

export const SMALLEST_BRUSH = 1;
export const LARGEST_BRUSH = 400;

/**
 * @param {readonly Stroke[]} [strokes]
 * @returns {Drawing}
 */
export function drawingOf(strokes = []) {
  return { done: [...strokes], undone: [] };
}

/**
 * @param {Drawing} drawing
 * @param {Stroke} stroke
 * @returns {Drawing}
 */
export function withStroke(drawing, stroke) {
  return { done: [...drawing.done, stroke], undone: [] };
}

/**
 * @param {Drawing} drawing
 * @returns {Drawing}
 */
export function undo(drawing) {
  if (drawing.done.length === 0) return drawing;
  return { done: drawing.done.slice(0, -1), undone: [...drawing.undone, drawing.done[drawing.done.length - 1]] };
}

/**
 * @param {Drawing} drawing
 * @returns {Drawing}
 */
export function redo(drawing) {
  if (drawing.undone.length === 0) return drawing;
  return { done: [...drawing.done, drawing.undone[drawing.undone.length - 1]], undone: drawing.undone.slice(0, -1) };
}

/**
 * Where a straight line starts that continues a drawing: its last point, unless all was cleared since.
 * @param {readonly Stroke[]} done
 * @returns {Point | null}
 */
export function lastPointOf(done) {
  for (const stroke of [...done].reverse()) {
    if (stroke.tool === "clear") return null;
    if ("points" in stroke) return stroke.points[stroke.points.length - 1];
  }
  return null;
}

/**
 * The point as it is stored: hundredths of a pixel, so that what is drawn here and what travels as JSON are the
 * same numbers. A brush narrower than two pixels snaps to the pixel under the pointer, else a click between four
 * centres would paint nothing.
 * @param {Point} point
 * @param {number} size
 * @returns {Point}
 */
export function stored(point, size) {
  if (size < 2) return [Math.floor(point[0]) + 0.5, Math.floor(point[1]) + 0.5];
  return [Math.round(point[0] * 100) / 100, Math.round(point[1] * 100) / 100];
}

/**
 * Whether a new point is far enough from the last one to be worth keeping.
 * @param {Point} last
 * @param {Point} next
 * @param {number} size
 */
export function worthKeeping(last, next, size) {
  return Math.hypot(next[0] - last[0], next[1] - last[1]) >= Math.max(0.25, size / 24);
}

/**
 * The next brush size in the given direction: steps of a tenth, at least one pixel.
 * @param {number} size
 * @param {1 | -1} direction
 * @param {boolean} [large]  ten times as far
 */
export function steppedSize(size, direction, large = false) {
  const step = Math.max(1, Math.round(size / 10)) * (large ? 10 : 1);
  return clampedSize(size + direction * step);
}

/** @param {number} size */
export function clampedSize(size) {
  return Math.min(LARGEST_BRUSH, Math.max(SMALLEST_BRUSH, Math.round(size)));
}

/**
 * The slider is logarithmic: fine steps for fine brushes. `position` runs from 0 to 100.
 * @param {number} position
 */
export function sizeAt(position) {
  return clampedSize(Math.exp((position / 100) * Math.log(LARGEST_BRUSH)));
}

/** @param {number} size */
export function positionOf(size) {
  return (Math.log(size) / Math.log(LARGEST_BRUSH)) * 100;
}
