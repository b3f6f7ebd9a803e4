// @ts-check
/**
 * Pointers on the stage, told as intents: draw, pan, pinch, hover. One finger paints, two move the picture. Where a pen
 * paints, touches are the hand that holds it and count for nothing.
 */

/** @typedef {import("./viewport.js").Point} Point */

/**
 * @typedef {{
 *   mode: (event: PointerEvent) => "draw" | "pan" | "none",
 *   drawStart: (at: Point, event: PointerEvent) => void,
 *   drawMove: (points: Point[]) => void,
 *   drawEnd: () => void,
 *   drawCancel: () => void,
 *   pan: (dx: number, dy: number) => void,
 *   pinch: (before: [Point, Point], after: [Point, Point]) => void,
 *   hover: (at: Point | null) => void,
 * }} Intents
 */

/** A stroke that came so far (px) is meant; one that a second finger ends sooner was the first finger of a pinch. */
const MEANT_FROM = 20;

export class Gestures {
  /**
   * @param {HTMLElement} stage
   * @param {Intents} intents
   */
  constructor(stage, intents) {
    this.stage = stage;
    this.intents = intents;
    /** @type {Map<number, Point>} */
    this.pointers = new Map();
    /** @type {"draw" | "pan" | "pinch" | "none"} */
    this.doing = "none";
    /** @type {number | null} */
    this.pen = null;
    this.began = { at: /** @type {Point} */ ([0, 0]), far: false };
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event, false));
    stage.addEventListener("pointercancel", (event) => this.up(event, true));
    stage.addEventListener("pointerleave", () => this.intents.hover(null));
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    // The middle button would start the browser's own scrolling.
    stage.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
  }

  /** @param {MouseEvent} event @returns {Point} */
  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left - this.stage.clientLeft, event.clientY - box.top - this.stage.clientTop];
  }

  /** @param {PointerEvent} event */
  down(event) {
    const at = this.at(event);
    if (this.pen !== null && event.pointerType === "touch") return;
    if (event.pointerType === "pen") {
      if (this.doing === "draw") this.intents.drawCancel(); // the hand came down before the pen
      this.pointers.clear();
      this.pen = event.pointerId;
    }
    this.pointers.set(event.pointerId, at);
    try {
      this.stage.setPointerCapture(event.pointerId);
    } catch {
      // The pointer is already up: its pointerup follows, nothing to hold.
    }
    if (this.pointers.size === 2) {
      if (this.doing === "draw" && this.began.far) this.intents.drawEnd();
      else if (this.doing === "draw") this.intents.drawCancel();
      this.doing = "pinch";
      this.intents.hover(null);
    } else if (this.pointers.size === 1) {
      this.doing = this.intents.mode(event);
      this.began = { at, far: false };
      if (this.doing === "draw") this.intents.drawStart(at, event);
      if (this.doing !== "none") event.preventDefault();
      this.stage.focus({ preventScroll: true });
    }
    this.stage.dataset.doing = this.doing;
  }

  /** @param {PointerEvent} event */
  move(event) {
    const at = this.at(event);
    if (event.pointerType !== "touch" && this.doing !== "pinch") this.intents.hover(at);
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    if (this.doing === "draw") {
      this.began.far ||= Math.hypot(at[0] - this.began.at[0], at[1] - this.began.at[1]) > MEANT_FROM;
      const steps = event.getCoalescedEvents?.() ?? [];
      this.intents.drawMove(steps.length > 0 ? steps.map((step) => this.at(step)) : [at]);
    } else if (this.doing === "pan") {
      this.intents.pan(at[0] - before[0], at[1] - before[1]);
    } else if (this.doing === "pinch" && this.pointers.size >= 2) {
      const [first, second] = [...this.pointers.keys()];
      const old = /** @type {[Point, Point]} */ ([this.pointers.get(first), this.pointers.get(second)]);
      this.pointers.set(event.pointerId, at);
      const now = /** @type {[Point, Point]} */ ([this.pointers.get(first), this.pointers.get(second)]);
      this.intents.pinch(old, now);
    }
    this.pointers.set(event.pointerId, at);
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} cancelled
   */
  up(event, cancelled) {
    if (event.pointerId === this.pen) this.pen = null;
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.doing === "draw") {
      if (cancelled) this.intents.drawCancel();
      else this.intents.drawEnd();
    }
    // After a pinch the finger that is still down does nothing until it is lifted.
    this.doing = "none";
    this.stage.dataset.doing = this.doing;
    if (event.pointerType === "touch") this.intents.hover(null);
  }
}
