// @ts-check
/** Saves the strokes a moment after the last change, one request at a time, and says how that went; a page that goes away waits for none. */

import { Problem, request } from "../http.js";

/** @typedef {import("./raster.js").Stroke} Stroke */
/** @typedef {"saved" | "saving" | "waiting" | "not saved" | "refused"} Saving */

const QUIET_FOR = 500;
const AGAIN_AFTER = 4_000;
/** Characters of a request that still goes on when its page has gone: browsers allow 64 kB to all of them together. */
const OUTLIVES_ITS_PAGE = 60_000;
/** Refusals that another try may overcome; every other one stays until the strokes change. */
const PASSING = new Set([408, 429]);

/** @param {unknown} error */
function isFinal(error) {
  return error instanceof Problem && error.status >= 400 && error.status < 500 && !PASSING.has(error.status);
}

/** @param {readonly Stroke[]} list */
function outlives(list) {
  return JSON.stringify(list).length < OUTLIVES_ITS_PAGE;
}

export class Autosave extends EventTarget {
  /**
   * @param {string} address  PUT {"strokes": [...]}
   * @param {() => readonly Stroke[]} strokes
   */
  constructor(address, strokes) {
    super();
    this.address = address;
    this.strokes = strokes;
    /** @type {Saving} */
    this.state = "saved";
    /** @type {readonly Stroke[] | null} */
    this.savedList = strokes();
    /** @type {readonly Stroke[] | null} */
    this.sentList = this.savedList;
    this.timer = 0;
    /** @type {Promise<void> | null} */
    this.running = null;
    window.addEventListener("pagehide", () => this.leave());
    window.addEventListener("beforeunload", (event) => this.wouldLose && event.preventDefault());
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && this.leave());
    window.addEventListener("online", () => this.state === "not saved" && this.soon(0));
  }

  get upToDate() {
    return this.savedList === this.strokes();
  }

  /** Whether strokes are lost with the page: the server did not take them, or too many for a request that outlives it. */
  get wouldLose() {
    if (this.upToDate) return false;
    return this.state === "not saved" || this.state === "refused" || !outlives(this.strokes());
  }

  /** Save what is seen here although it was saved: another tab may have saved another drawing since. */
  async again() {
    this.savedList = null;
    await this.now();
  }

  /** @param {number} [wait]  ms */
  soon(wait = QUIET_FOR) {
    clearTimeout(this.timer);
    this.say(this.state === "not saved" ? "not saved" : "waiting");
    this.timer = window.setTimeout(
      () => this.now().catch((error) => isFinal(error) || this.soon(AGAIN_AFTER)),
      wait,
    );
  }

  /**
   * Save until the server has the newest strokes.
   * @returns {Promise<void>} rejects with a Problem when it can't
   */
  async now() {
    clearTimeout(this.timer);
    while (this.running) await this.running.catch(() => undefined);
    if (this.upToDate) {
      this.say("saved");
      return;
    }
    this.running = this.send();
    try {
      await this.running;
    } finally {
      this.running = null;
    }
    if (!this.upToDate) await this.now();
  }

  async send() {
    const list = this.strokes();
    this.sentList = list;
    this.say("saving");
    try {
      const told = await request(this.address, { method: "PUT", json: { strokes: list }, keepalive: outlives(list) });
      this.savedList = list;
      if (this.upToDate) this.say("saved");
      this.dispatchEvent(new CustomEvent("stored", { detail: told }));
    } catch (error) {
      this.say(isFinal(error) ? "refused" : "not saved");
      this.dispatchEvent(new CustomEvent("refused", { detail: error }));
      throw error;
    }
  }

  /** The page is going away: send what is left without waiting, not even for a request that is under way. */
  leave() {
    const onItsWay = this.state === "saving" && this.sentList === this.strokes();
    if (this.upToDate || onItsWay || this.state === "refused") return;
    clearTimeout(this.timer);
    (this.running ? this.send() : this.now()).catch((error) => isFinal(error) || this.soon(AGAIN_AFTER));
  }

  /** @param {Saving} state */
  say(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state"));
  }
}
