// @ts-check
/** The mask as a canvas: at the picture's size up to four megapixels, smaller above (phones refuse large canvases). */

import { copyMask, drawStroke, emptyMask, paintSegment, radiusOf, scaled } from "./raster.js";

/** @typedef {import("./raster.js").Stroke} Stroke */
/** @typedef {import("./raster.js").Line} Line */
/** @typedef {import("./raster.js").Point} Point */
/** @typedef {import("./raster.js").Rect} Rect */
/** @typedef {import("./raster.js").Mask} Mask */

const LARGEST_AREA = 4_000_000;
/** A copy of the mask is kept every so many strokes, so that undo replays a few strokes and not all of them. */
const CHECKPOINT_EVERY = 12;
const CHECKPOINTS_KEPT = 8;

export class MaskLayer {
  /**
   * @param {number} width  of the picture, px
   * @param {number} height  of the picture, px
   */
  constructor(width, height) {
    this.scale = Math.min(1, Math.sqrt(LARGEST_AREA / (width * height)));
    this.mask = emptyMask(Math.max(1, Math.round(width * this.scale)), Math.max(1, Math.round(height * this.scale)));
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.mask.width;
    this.canvas.height = this.mask.height;
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    /** @type {[number, number, number]} */
    this.colour = [214, 0, 108];
    /** @type {{count: number, mask: Mask}[]} */
    this.checkpoints = [];
  }

  /** Share of the picture that is painted, 0..1. */
  get share() {
    return this.mask.painted / this.mask.pixels.length;
  }

  /**
   * Draw the list again, from the last checkpoint that is a part of it.
   * @param {readonly Stroke[]} strokes
   */
  show(strokes) {
    this.checkpoints = this.checkpoints.filter((checkpoint) => checkpoint.count <= strokes.length);
    const last = this.checkpoints[this.checkpoints.length - 1];
    this.mask = last ? copyMask(last.mask) : emptyMask(this.mask.width, this.mask.height);
    for (let count = last ? last.count : 0; count < strokes.length; count += 1) {
      drawStroke(this.mask, strokes[count], this.scale);
      // Of a long list only the copies near its end would stay.
      if (strokes.length - count <= CHECKPOINT_EVERY * CHECKPOINTS_KEPT) this.settled(count + 1);
    }
    this.refresh({ left: 0, top: 0, right: this.mask.width, bottom: this.mask.height });
  }

  /**
   * The list has grown by a stroke that is already drawn; keep a checkpoint now and then.
   * @param {number} count
   */
  settled(count) {
    if (count % CHECKPOINT_EVERY !== 0) return;
    this.checkpoints = [...this.checkpoints, { count, mask: copyMask(this.mask) }].slice(-CHECKPOINTS_KEPT);
  }

  /** @param {Stroke} stroke */
  draw(stroke) {
    const dirty = drawStroke(this.mask, stroke, this.scale);
    if (dirty) this.refresh(dirty);
  }

  /**
   * The newest piece of a stroke that is being drawn.
   * @param {Line} stroke
   * @param {Point} from
   * @param {Point} to
   */
  extend(stroke, from, to) {
    const radius = radiusOf(stroke, this.scale);
    const value = stroke.tool === "brush" ? 1 : 0;
    const dirty = paintSegment(this.mask, scaled(from, this.scale), scaled(to, this.scale), radius, value);
    if (dirty) this.refresh(dirty);
  }

  /** @param {Rect} rect */
  refresh({ left, top, right, bottom }) {
    const image = this.context.createImageData(right - left, bottom - top);
    const bytes = image.data;
    const [red, green, blue] = this.colour;
    let at = 0;
    for (let j = top; j < bottom; j += 1) {
      for (let i = left; i < right; i += 1, at += 4) {
        if (this.mask.pixels[j * this.mask.width + i]) {
          bytes[at] = red;
          bytes[at + 1] = green;
          bytes[at + 2] = blue;
          bytes[at + 3] = 255;
        }
      }
    }
    this.context.putImageData(image, left, top);
  }
}
