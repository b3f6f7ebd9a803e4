// @ts-check
/**
 * Where the picture lies in the view. Pure. A viewport maps picture coordinates to CSS pixels of the view:
 * view = picture * scale + (x, y).
 */

/** @typedef {[number, number]} Point */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {{readonly scale: number, readonly x: number, readonly y: number}} Viewport */

export const LARGEST_SCALE = 64;

/**
 * The whole picture in the middle of the view, `margin` CSS pixels around it.
 * @param {Size} view
 * @param {Size} picture
 * @param {number} [margin]
 * @returns {Viewport}
 */
export function fitted(view, picture, margin = 16) {
  const room = { width: Math.max(1, view.width - 2 * margin), height: Math.max(1, view.height - 2 * margin) };
  const scale = Math.min(room.width / picture.width, room.height / picture.height, LARGEST_SCALE);
  return centred(view, picture, scale);
}

/**
 * @param {Size} view
 * @param {Size} picture
 * @param {number} scale
 * @returns {Viewport}
 */
export function centred(view, picture, scale) {
  return { scale, x: (view.width - picture.width * scale) / 2, y: (view.height - picture.height * scale) / 2 };
}

/**
 * @param {Viewport} viewport
 * @param {Point} point  in the view
 * @returns {Point} in the picture
 */
export function toPicture(viewport, [x, y]) {
  return [(x - viewport.x) / viewport.scale, (y - viewport.y) / viewport.scale];
}

/**
 * @param {Viewport} viewport
 * @param {Point} point  in the picture
 * @returns {Point} in the view
 */
export function toView(viewport, [x, y]) {
  return [x * viewport.scale + viewport.x, y * viewport.scale + viewport.y];
}

/**
 * Zoom so that what lies under `at` stays there.
 * @param {Viewport} viewport
 * @param {number} scale  the new scale, limited to `smallest` .. 64
 * @param {Point} at  in the view
 * @param {number} smallest
 * @returns {Viewport}
 */
export function zoomedTo(viewport, scale, at, smallest) {
  const limited = Math.min(LARGEST_SCALE, Math.max(smallest, scale));
  const [x, y] = toPicture(viewport, at);
  return { scale: limited, x: at[0] - x * limited, y: at[1] - y * limited };
}

/**
 * @param {Viewport} viewport
 * @param {number} dx
 * @param {number} dy
 * @returns {Viewport}
 */
export function panned(viewport, dx, dy) {
  return { ...viewport, x: viewport.x + dx, y: viewport.y + dy };
}

/**
 * Two fingers: what was between them stays between them, at the scale of their distance.
 * @param {Viewport} viewport
 * @param {[Point, Point]} before
 * @param {[Point, Point]} after
 * @param {number} smallest
 * @returns {Viewport}
 */
export function pinched(viewport, before, after, smallest) {
  const from = middle(before);
  const to = middle(after);
  const ratio = distance(after) / Math.max(1, distance(before));
  const moved = panned(viewport, to[0] - from[0], to[1] - from[1]);
  return zoomedTo(moved, viewport.scale * ratio, to, smallest);
}

/**
 * At least a corner of the picture (`keep` CSS pixels) stays in the view, so that it can't get lost.
 * @param {Viewport} viewport
 * @param {Size} view
 * @param {Size} picture
 * @param {number} [keep]
 * @returns {Viewport}
 */
export function keptInSight(viewport, view, picture, keep = 48) {
  const width = picture.width * viewport.scale;
  const height = picture.height * viewport.scale;
  return {
    scale: viewport.scale,
    x: Math.min(view.width - Math.min(keep, width), Math.max(Math.min(keep, width) - width, viewport.x)),
    y: Math.min(view.height - Math.min(keep, height), Math.max(Math.min(keep, height) - height, viewport.y)),
  };
}

/** @param {[Point, Point]} points @returns {Point} */
function middle([a, b]) {
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
}

/** @param {[Point, Point]} points */
function distance([a, b]) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
