// @ts-check
/**
 * Which pixels a stroke covers. Pure: no DOM, no canvas.
 *
 * The rule, the same to the pixel as the server's: pixel (i, j) is covered when the distance from its centre
 * (i + 0.5, j + 0.5) to the stroke's polyline is at most half the stroke's size. No anti-aliasing. The order of
 * the floating-point operations in `paintSegment` is part of the rule: both sides work in 64-bit floats.
 */

/** @typedef {[number, number]} Point  picture coordinates, pixel centres at .5 */
/** @typedef {{tool: "brush" | "eraser", size: number, points: Point[]}} Line */
/** @typedef {{tool: "clear"} | {tool: "invert"}} Whole */
/** @typedef {Line | Whole} Stroke */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Rect  right and bottom are exclusive */

/**
 * A mask as bytes, 1 = to be filled, row by row.
 * @typedef {{width: number, height: number, pixels: Uint8Array, painted: number}} Mask
 */

/**
 * @param {number} width
 * @param {number} height
 * @returns {Mask}
 */
export function emptyMask(width, height) {
  return { width, height, pixels: new Uint8Array(width * height), painted: 0 };
}

/**
 * @param {Mask} mask
 * @returns {Mask}
 */
export function copyMask(mask) {
  return { ...mask, pixels: mask.pixels.slice() };
}

/**
 * Set every pixel within `radius` of the segment from `a` to `b` to `value`; return what may have changed.
 * @param {Mask} mask
 * @param {Point} a
 * @param {Point} b
 * @param {number} radius
 * @param {0 | 1} value
 * @returns {Rect | null}
 */
export function paintSegment(mask, a, b, radius, value) {
  const { width, height, pixels } = mask;
  const left = Math.max(0, Math.floor(Math.min(a[0], b[0]) - radius - 0.5));
  const top = Math.max(0, Math.floor(Math.min(a[1], b[1]) - radius - 0.5));
  const right = Math.min(width, Math.ceil(Math.max(a[0], b[0]) + radius + 0.5));
  const bottom = Math.min(height, Math.ceil(Math.max(a[1], b[1]) + radius + 0.5));
  if (left >= right || top >= bottom) return null;

  const dx = b[0] - a[0];
  const dy = b[1] - a[1];
  const lengthSquared = dx * dx + dy * dy;
  const limit = radius * radius;
  let changed = 0;
  for (let j = top; j < bottom; j += 1) {
    const py = j + 0.5;
    for (let i = left; i < right; i += 1) {
      const px = i + 0.5;
      let t = lengthSquared > 0 ? ((px - a[0]) * dx + (py - a[1]) * dy) / lengthSquared : 0;
      t = t < 0 ? 0 : t > 1 ? 1 : t;
      const ex = px - (a[0] + t * dx);
      const ey = py - (a[1] + t * dy);
      if (ex * ex + ey * ey <= limit) {
        const at = j * width + i;
        changed += value - pixels[at];
        pixels[at] = value;
      }
    }
  }
  mask.painted += changed;
  return { left, top, right, bottom };
}

/**
 * @param {Rect | null} a
 * @param {Rect | null} b
 * @returns {Rect | null} the smallest rectangle that holds both
 */
export function union(a, b) {
  if (!a) return b;
  if (!b) return a;
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  };
}

/**
 * In mask pixels. On a mask that is smaller than its picture a thin line still covers a pixel wherever it goes: it would
 * be seen as dashes, or not at all, and the picture taken for one without a hole.
 * @param {Line} stroke
 * @param {number} scale
 */
export function radiusOf(stroke, scale) {
  const radius = (stroke.size / 2) * scale;
  return scale < 1 ? Math.max(radius, Math.SQRT1_2) : radius;
}

/**
 * Draw one stroke on the mask. `scale` is mask pixels per picture pixel (1 when the mask has the picture's size).
 * @param {Mask} mask
 * @param {Stroke} stroke
 * @param {number} [scale]
 * @returns {Rect | null} what may have changed
 */
export function drawStroke(mask, stroke, scale = 1) {
  if (stroke.tool === "clear" || stroke.tool === "invert") {
    const whole = { left: 0, top: 0, right: mask.width, bottom: mask.height };
    if (stroke.tool === "clear") {
      mask.pixels.fill(0);
      mask.painted = 0;
    } else {
      for (let at = 0; at < mask.pixels.length; at += 1) mask.pixels[at] ^= 1;
      mask.painted = mask.pixels.length - mask.painted;
    }
    return whole;
  }
  const value = stroke.tool === "brush" ? 1 : 0;
  const radius = radiusOf(stroke, scale);
  /** @type {Rect | null} */
  let dirty = null;
  stroke.points.forEach((point, index) => {
    const from = index > 0 ? stroke.points[index - 1] : point;
    if (index === 0 && stroke.points.length > 1) return;
    dirty = union(dirty, paintSegment(mask, scaled(from, scale), scaled(point, scale), radius, value));
  });
  return dirty;
}

/**
 * @param {readonly Stroke[]} strokes
 * @param {number} width
 * @param {number} height
 * @returns {Mask}
 */
export function drawMask(strokes, width, height) {
  const mask = emptyMask(width, height);
  for (const stroke of strokes) drawStroke(mask, stroke);
  return mask;
}

/**
 * @param {Point} point
 * @param {number} scale
 * @returns {Point}
 */
export function scaled(point, scale) {
  return scale === 1 ? point : [point[0] * scale, point[1] * scale];
}
