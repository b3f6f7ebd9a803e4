// @ts-check
/** The mask editor: a picture in a view that zooms and pans, and a mask that is painted on it stroke by stroke. */

import { Gestures } from "./gestures.js";
import { MaskLayer } from "./layer.js";
import { clampedSize, drawingOf, lastPointOf, redo, steppedSize, stored, undo, withStroke, worthKeeping } from "./strokes.js";
import { centred, fitted, keptInSight, panned, pinched, toPicture, toView, zoomedTo } from "./viewport.js";

/** @typedef {import("./raster.js").Stroke} Stroke */
/** @typedef {import("./raster.js").Line} Line */
/** @typedef {import("./viewport.js").Point} Point */
/** @typedef {"brush" | "eraser" | "hand"} Tool */

const ERASE_BUTTON = 2;
const MIDDLE_BUTTON = 1;

export class MaskEditor extends EventTarget {
  /**
   * @param {{stage: HTMLElement, canvas: HTMLCanvasElement, cursor: HTMLElement, picture: CanvasImageSource,
   *   size: {width: number, height: number}, strokes: Stroke[]}} parts
   */
  constructor({ stage, canvas, cursor, picture, size, strokes }) {
    super();
    this.stage = stage;
    this.canvas = canvas;
    this.cursor = cursor;
    this.picture = picture;
    this.size = size;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.layer = new MaskLayer(size.width, size.height);
    this.drawing = drawingOf(strokes);
    /** @type {Tool} */
    this.tool = "brush";
    this.brush = clampedSize(Math.max(2, Math.round(Math.max(size.width, size.height) / 24)));
    this.enabled = true;
    this.maskShown = true;
    this.panning = false;
    this.touched = false;
    this.refit = false;
    /** @type {Line | null} */
    this.stroke = null;
    /** @type {Point | null} */
    this.lastPoint = null;
    /** @type {Point | null} */
    this.pointer = null;
    this.frame = 0;
    this.layer.show(this.drawing.done);
    this.view = { width: stage.clientWidth, height: stage.clientHeight };
    this.viewport = fitted(this.view, size);
    this.listen();
  }

  listen() {
    new Gestures(this.stage, {
      mode: (event) => this.modeOf(event),
      drawStart: (at, event) => this.startStroke(at, event),
      drawMove: (points) => this.continueStroke(points),
      drawEnd: () => this.endStroke(),
      drawCancel: () => this.cancelStroke(),
      pan: (dx, dy) => this.look(panned(this.viewport, dx, dy)),
      pinch: (before, after) => this.look(pinched(this.viewport, before, after, this.smallestScale)),
      hover: (at) => {
        this.pointer = at;
        this.placeCursor();
      },
    });
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  /** @param {PointerEvent} event @returns {"draw" | "pan" | "none"} */
  modeOf(event) {
    if (event.button === MIDDLE_BUTTON || this.panning || this.tool === "hand" || !this.enabled) return "pan";
    return event.button === 0 || event.button === ERASE_BUTTON ? "draw" : "none";
  }

  // --- drawing ---------------------------------------------------------------------------------------------

  /**
   * @param {Point} at
   * @param {PointerEvent} event
   */
  startStroke(at, event) {
    const erase = event.button === ERASE_BUTTON || event.ctrlKey || this.tool === "eraser";
    const point = stored(toPicture(this.viewport, at), this.brush);
    const line = event.shiftKey && this.lastPoint ? [stored(this.lastPoint, this.brush), point] : [point];
    this.stroke = { tool: erase ? "eraser" : "brush", size: this.brush, points: line };
    this.layer.draw(this.stroke);
    this.touched = true;
    this.changed(false);
  }

  /** @param {Point[]} points  in the view */
  continueStroke(points) {
    const stroke = this.stroke;
    if (!stroke) return;
    for (const at of points) {
      const point = stored(toPicture(this.viewport, at), stroke.size);
      const last = stroke.points[stroke.points.length - 1];
      if (!worthKeeping(last, point, stroke.size)) continue;
      stroke.points.push(point);
      this.layer.extend(stroke, last, point);
    }
    this.changed(false);
  }

  endStroke() {
    if (!this.stroke) return;
    this.lastPoint = this.stroke.points[this.stroke.points.length - 1];
    this.drawing = withStroke(this.drawing, this.stroke);
    this.stroke = null;
    this.layer.settled(this.drawing.done.length);
    this.changed(true);
    this.refitLate();
  }

  cancelStroke() {
    this.stroke = null;
    this.layer.show(this.drawing.done);
    this.changed(false);
    this.refitLate();
  }

  undo() {
    this.replace(undo(this.drawing));
  }

  redo() {
    this.replace(redo(this.drawing));
  }

  clear() {
    if (this.layer.mask.painted > 0) this.whole({ tool: "clear" });
  }

  invert() {
    this.whole({ tool: "invert" });
  }

  /** @param {Stroke} stroke */
  whole(stroke) {
    if (!this.enabled || this.stroke) return;
    this.drawing = withStroke(this.drawing, stroke);
    this.layer.draw(stroke);
    this.layer.settled(this.drawing.done.length);
    this.touched = true;
    this.changed(true);
  }

  /** @param {import("./strokes.js").Drawing} drawing */
  replace(drawing) {
    if (!this.enabled || this.stroke || drawing === this.drawing) return;
    this.drawing = drawing;
    this.lastPoint = lastPointOf(drawing.done);
    this.layer.show(drawing.done);
    this.touched = true;
    this.changed(true);
  }

  /** @param {boolean} settled  whether the list of strokes has changed */
  changed(settled) {
    this.render();
    this.dispatchEvent(new CustomEvent("paint"));
    if (settled) this.dispatchEvent(new CustomEvent("strokes"));
  }

  // --- tools -----------------------------------------------------------------------------------------------

  /** @param {Tool} tool */
  setTool(tool) {
    this.tool = tool;
    this.told();
  }

  swapTool() {
    this.setTool(this.tool === "brush" ? "eraser" : "brush");
  }

  /** @param {number} size */
  setSize(size) {
    this.brush = clampedSize(size);
    this.told();
  }

  /**
   * @param {1 | -1} direction
   * @param {boolean} [large]
   */
  stepSize(direction, large = false) {
    this.setSize(steppedSize(this.brush, direction, large));
  }

  /** @param {boolean} panning */
  setPanning(panning) {
    if (panning === this.panning) return;
    this.panning = panning;
    this.told();
  }

  /** @param {boolean} shown */
  setMaskShown(shown) {
    if (shown === this.maskShown) return;
    this.maskShown = shown;
    this.render();
  }

  /** @param {boolean} enabled  off: the picture is only looked at */
  setEnabled(enabled) {
    this.enabled = enabled;
    this.told();
    this.render();
  }

  told() {
    this.stage.dataset.tool = this.panning || !this.enabled ? "hand" : this.tool;
    this.placeCursor();
    this.dispatchEvent(new CustomEvent("tool"));
  }

  // --- looking ---------------------------------------------------------------------------------------------

  get smallestScale() {
    return Math.min(0.5, fitted(this.view, this.size).scale);
  }

  fit() {
    this.look(fitted(this.view, this.size));
  }

  actualSize() {
    this.look(centred(this.view, this.size, 1));
  }

  /** @param {number} factor */
  zoomBy(factor) {
    const at = this.pointer ?? /** @type {Point} */ ([this.view.width / 2, this.view.height / 2]);
    this.look(zoomedTo(this.viewport, this.viewport.scale * factor, at, this.smallestScale));
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    if (event.altKey) {
      this.stepSize((event.deltaY || event.deltaX) < 0 ? 1 : -1);
      return;
    }
    const box = this.stage.getBoundingClientRect();
    /** @type {Point} */
    const at = [event.clientX - box.left - this.stage.clientLeft, event.clientY - box.top - this.stage.clientTop];
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    // A pinch on a trackpad comes as a wheel with Ctrl and small steps.
    const factor = Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0018));
    this.look(zoomedTo(this.viewport, this.viewport.scale * factor, at, this.smallestScale));
  }

  /** @param {import("./viewport.js").Viewport} viewport */
  look(viewport) {
    this.viewport = keptInSight(viewport, this.view, this.size);
    this.render();
    this.placeCursor();
    this.dispatchEvent(new CustomEvent("look"));
  }

  resize() {
    const before = this.view;
    this.view = { width: this.stage.clientWidth, height: this.stage.clientHeight };
    if (!this.view.width || !this.view.height) return;
    const wasFitted = Math.abs(this.viewport.scale - fitted(before, this.size).scale) < 1e-6;
    if (this.stroke) {
      // The picture stays under the pointer until the stroke ends.
      this.refit ||= wasFitted;
      this.render();
      return;
    }
    this.look(wasFitted ? fitted(this.view, this.size) : this.viewport);
  }

  /** What a resize during a stroke left to do. */
  refitLate() {
    if (this.refit) this.fit();
    this.refit = false;
  }

  render() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paintFrame();
    });
  }

  paintFrame() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.view.width * ratio);
    const height = Math.round(this.view.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const { scale, x, y } = this.viewport;
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
    context.imageSmoothingEnabled = scale * ratio < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, 0, 0, this.size.width, this.size.height);
    if (this.enabled && this.maskShown) {
      context.globalAlpha = 0.62;
      context.drawImage(this.layer.canvas, 0, 0, this.size.width, this.size.height);
      context.globalAlpha = 1;
    }
    Object.assign(this.stage.dataset, { scale: String(scale), left: String(x), top: String(y) });
  }

  /** The circle is exactly what a click would paint. */
  placeCursor() {
    const shown = this.pointer && this.enabled && !this.panning && this.tool !== "hand";
    this.cursor.hidden = !shown;
    if (!shown || !this.pointer) return;
    const across = this.brush * this.viewport.scale;
    const [x, y] = toView(this.viewport, stored(toPicture(this.viewport, this.pointer), this.brush));
    this.cursor.style.width = `${across}px`;
    this.cursor.style.height = `${across}px`;
    this.cursor.style.transform = `translate(${x - across / 2}px, ${y - across / 2}px)`;
  }
}
