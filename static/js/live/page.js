// @ts-check
/** The live page: snapshot, then the tail of events; everything shown is a function of the reduced state. */

import { enhance, setZoom } from "../before_after.js";
import { EventStream } from "../event_stream.js";
import { Problem, request } from "../http.js";
import { showProblem } from "../notice.js";
import { Watch } from "../watch/watch.js";
import { Curves } from "./curves.js";
import { ENDED, fromSnapshot, reduce, withEarlier, withSnapshot } from "./reducer.js";
import { showStrip } from "./strip.js";
import { AGAIN_AFTER, swap } from "./swap.js";
import { allowedActs, clock, leftSentence, nowSentence } from "./words.js";

/** @typedef {import("./reducer.js").LiveState} LiveState */

const SNAPSHOT_AGAIN = new Set(["queued", "started", "generation_opened", "rung_opened", "generation_closed", "finishing", "baseline", "paused", "resumed"]);
/** How often (ms) rows are asked for what no event tells: the queue, a missing worker; the time left. */
const STANDING_LOOK_EVERY = 10_000;
const MOVING_LOOK_EVERY = 20_000;
const EARLIER_EVENTS = 150;
/** Stands in the addresses of pictures where their digest belongs. */
const NO_DIGEST = "0".repeat(64);

const CONNECTIONS = {
  live: ["live", "Events arrive as they happen."],
  polling: ["live, by polling", "Websockets are blocked here; this page asks every two seconds."],
  "catching up": ["catching up", "The connection was lost; what was missed is being fetched."],
  offline: ["offline", "The site can't be reached. The restoration goes on; this page catches up by itself."],
};

/** The same words again would be read out again. @param {HTMLElement} place @param {string} text */
function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

class LivePage {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {LiveState | null} */
    this.state = null;
    /** @type {Record<string, any>} */
    this.snapshot = {};
    this.frame = 0;
    this.shownAt = 0;
    /** By how much (ms) the site's clock is ahead of this one. */
    this.ahead = 0;
    this.lookAgain = false;
    this.lookedAt = performance.now();
    /** @type {Curves | null} */
    this.curves = null;
    this.problems = this.part("[data-problems]");
    this.compare = this.part("[data-compare]");
    enhance(this.compare);
    const [before, after] = /** @type {HTMLImageElement[]} */ (
      ["img.before", "img.after"].map((which) => this.compare.querySelector(which))
    );
    before.hidden = before.getAttribute("src") === null; // nothing instead of a broken picture
    after.addEventListener("load", () =>
      setZoom(this.compare, { width: after.naturalWidth, height: after.naturalHeight }, "fit"),
    );
    for (const picture of root.querySelectorAll("img")) picture.addEventListener("swapped", () => this.later());
    const diagram = this.part("[data-diagram]");
    diagram.addEventListener("error", () => {
      window.setTimeout(() => {
        delete diagram.dataset.genome;
        this.later();
      }, AGAIN_AFTER);
    });
    const watch = this.part("[data-watch]");
    const still = watch.dataset.still ?? "";
    this.watch = new Watch(watch, (digest) => still.replace(NO_DIGEST, digest));
    this.listenToActs();
  }

  /** @param {string} selector @returns {HTMLElement} */
  part(selector) {
    const found = this.root.querySelector(selector);
    if (!(found instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
    return found;
  }

  async open() {
    const { root } = this;
    try {
      this.takeSnapshot(await request(root.dataset.snapshot ?? ""), true);
    } catch (error) {
      showProblem(this.problems, error, {
        safe: "The restoration goes on without this page.",
        action: { label: "Load the page again", run: () => window.location.reload() },
      });
      return;
    }
    const state = /** @type {LiveState} */ (this.state);
    if (this.hasResult(state)) return;
    this.curves = new Curves(
      this.part("[data-chart]"),
      /** @type {HTMLTableSectionElement} */ (root.querySelector("[data-curve-rows]")),
      state.generations,
    );
    this.show();
    this.loadEarlier(state.last);
    if (ENDED.has(state.state)) this.showNoConnection();
    else this.follow(state.last);
    window.setInterval(() => this.tick(), 1000);
  }

  /**
   * @param {Record<string, any>} snapshot
   * @param {boolean} first
   */
  takeSnapshot(snapshot, first) {
    // The same estimate again is no news: the time since it was first shown still counts.
    if (snapshot.seconds_left !== this.snapshot.seconds_left) this.shownAt = performance.now();
    this.snapshot = snapshot;
    this.ahead = Date.parse(snapshot.times.now) - Date.now();
    this.state = first || !this.state ? fromSnapshot(snapshot) : withSnapshot(this.state, snapshot);
    this.later();
  }

  async loadEarlier(/** @type {number} */ last) {
    const after = Math.max(0, last - EARLIER_EVENTS);
    try {
      const told = await request(`${this.root.dataset.events}?after=${after}`);
      if (this.state) this.state = withEarlier(this.state, told.events.filter((/** @type {any} */ e) => e.number <= last));
      this.later();
    } catch (error) {
      const final = error instanceof Problem && error.status >= 400 && error.status < 500;
      if (!final) window.setTimeout(() => this.loadEarlier(last), AGAIN_AFTER);
    }
  }

  follow(/** @type {number} */ after) {
    const { root } = this;
    this.stream = new EventStream({
      after,
      socketUrl: (number) => {
        const address = new URL(root.dataset.socket ?? "", window.location.href);
        address.protocol = window.location.protocol === "https:" ? "wss:" : "ws:";
        address.search = `?after=${number}`;
        return address.href;
      },
      fetchEvents: (number) => request(`${root.dataset.events}?after=${number}`),
      onEvents: (events) => this.take(events),
      onConnection: (connection) => this.showConnection(connection),
      onClosed: () => window.location.reload(),
    });
    this.stream.start();
  }

  /** @param {import("../event_stream.js").JobEvent[]} events */
  take(events) {
    if (!this.state) return;
    for (const event of events) this.state = reduce(this.state, event);
    if (events.some((event) => SNAPSHOT_AGAIN.has(event.kind))) this.look();
    this.later();
    if (this.state.ended) {
      this.stream?.stop();
      this.showNoConnection();
      this.hasResult(this.state);
    }
  }

  /** @param {LiveState} state */
  hasResult(state) {
    if (state.state !== "done") return false;
    window.location.reload(); // the result has its own page at this address
    return true;
  }

  /** What rows know and events don't carry: place in the queue, a missing worker, time left. */
  look() {
    if (this.looking) {
      this.lookAgain = true; // what is under way may have been read before what asks for this look
      return;
    }
    this.lookAgain = false;
    this.lookedAt = performance.now();
    this.looking = request(this.root.dataset.snapshot ?? "")
      .then((snapshot) => this.takeSnapshot(snapshot, false))
      .catch(() => undefined) // the stream already says when the site is away
      .finally(() => {
        this.looking = undefined;
        if (this.lookAgain) this.look();
      });
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.curves) this.show();
    });
  }

  tick() {
    const state = this.state;
    if (!state || state.ended) return;
    const since = (performance.now() - this.shownAt) / 1000;
    const moving = ["running", "finishing"].includes(state.state);
    const { started_at: started, paused_at: paused } = this.snapshot.times ?? {};
    if (started) {
      const until = paused && !moving ? Date.parse(paused) : Date.now() + this.ahead;
      const ran = (until - Date.parse(started)) / 1000 - (this.snapshot.seconds_paused ?? 0);
      this.part("[data-clock]").textContent = clock(ran);
    }
    this.part("[data-left]").textContent = leftSentence(state, since);
    const stands = state.state === "queued" || state.waitsFor !== "";
    const every = stands ? STANDING_LOOK_EVERY : MOVING_LOOK_EVERY;
    if ((stands || moving) && performance.now() - this.lookedAt > every) this.look();
  }

  /** @param {string} digest */
  previewOf(digest) {
    return digest ? (this.root.dataset.preview ?? "").replace(NO_DIGEST, digest) : "";
  }

  show() {
    const state = this.state;
    if (!state) return;
    const { root } = this;
    const word = this.part("[data-state-word]");
    word.dataset.state = state.state;
    word.textContent = state.state;
    root.dataset.state = state.state;
    root.dataset.last = String(state.last);
    this.part("[data-now]").toggleAttribute("data-waits", state.waitsFor !== "");
    write(this.part("[data-now]"), nowSentence(state));
    const bar = /** @type {HTMLProgressElement} */ (this.part("[data-whole-progress]"));
    // Each round of a race costs about as much as the next, with fewer networks trained longer.
    const rounds = (state.generation ?? 0) * state.rungs + state.rung;
    bar.max = Math.max(1, state.generations * state.rungs * state.population);
    bar.value = Math.min(bar.max, rounds * state.population + state.evaluated);
    bar.hidden = ["queued", "finishing"].includes(state.state) || state.ended;
    this.curves?.show(state.curve);
    this.part("[data-no-curve]").hidden = state.curve.length > 0;
    this.showBest(state);
    this.showCurrent(state);
    this.showLearning(state);
    showStrip(this.part("[data-strip]"), state.individuals, state.population, state.evaluated, state.state !== "finishing");
    this.showActs(state);
    this.showFault(state);
    this.showLog(state);
    this.tick();
  }

  /** @param {LiveState} state */
  showBest(state) {
    const picture = this.previewOf(state.bestPreview);
    const after = /** @type {HTMLImageElement} */ (this.compare.querySelector("img.after"));
    const some = after.getAttribute("src") !== null;
    this.part("[data-no-best]").hidden = some;
    this.compare.hidden = !some;
    if (picture) swap(after, picture);
    if (picture) this.showSeen(state);
    const psnr = state.bestPsnr;
    this.part("[data-best-figure]").textContent =
      state.bestFitness === null
        ? "none yet"
        : `${state.bestFitness.toFixed(3)}${psnr === null ? "" : ` (${psnr.toFixed(2)} dB on held-out pixels)`}`;
    const diagram = /** @type {HTMLImageElement} */ (this.part("[data-diagram]"));
    diagram.hidden = !state.bestGenome;
    if (!state.bestGenome || diagram.dataset.genome === state.bestGenome) return;
    diagram.dataset.genome = state.bestGenome;
    const address = (/** @type {string} */ ink) =>
      `${this.root.dataset.diagram}?ink=${ink}&genome=${encodeURIComponent(state.bestGenome)}`;
    /** @type {HTMLSourceElement} */ (this.root.querySelector("[data-diagram-dark]")).srcset = address("light");
    diagram.src = address("dark");
  }

  /** @param {LiveState} state */
  showCurrent(state) {
    const current = state.current;
    const address = current ? this.previewOf(current.preview) : "";
    const picture = /** @type {HTMLImageElement} */ (this.part("[data-current]"));
    if (address) swap(picture, address);
    picture.hidden = !picture.getAttribute("src");
    this.part("[data-no-current]").hidden = !picture.hidden;
    const bar = /** @type {HTMLProgressElement} */ (this.part("[data-iteration-bar]"));
    bar.max = Math.max(1, current?.of ?? 1);
    bar.value = current?.iteration ?? 0;
    const text = this.part("[data-iteration]");
    if (!current || !current.of) text.textContent = state.ended ? "" : "between two networks";
    else {
      const psnr = current.psnr === null ? "" : `, ${current.psnr.toFixed(2)} dB held out`;
      text.textContent = `iteration ${current.iteration} of ${current.of}${psnr}`;
    }
  }

  /** @param {LiveState} state */
  showLearning(state) {
    if (!state.learning || state.learning === this.watch.learning) return;
    this.watch.show(state.learning);
    this.watch.tell(state.learning);
  }

  /** @param {LiveState} state */
  showSeen(state) {
    // A search looks at a part of the picture: the input beside a preview is what that network saw.
    const before = /** @type {HTMLImageElement} */ (this.compare.querySelector("img.before"));
    const seen = (state.bestOfWhole ? this.root.dataset.seenFinal : this.root.dataset.seenSearch) ?? "";
    swap(before, seen);
  }

  /** @param {LiveState} state */
  showActs(state) {
    const allowed = allowedActs(state.state, state.faultClass, state.mayGoOnHere);
    for (const [act, on] of Object.entries(allowed)) this.part(`button[data-act="${act}"]`).hidden = !on;
    this.part("[data-again]").hidden = !state.ended;
    if (!this.acted?.hidden) return;
    // The keyboard's place was on what is hidden now: it goes on beside it.
    this.acted = undefined;
    const next = this.part(".acts").querySelector("button:not([hidden]), [data-again]:not([hidden]) a");
    if (document.activeElement === document.body && next instanceof HTMLElement) next.focus();
  }

  /** @param {LiveState} state */
  showFault(state) {
    const place = this.part("[data-fault]");
    const told = state.state === "failed" || (state.state === "paused" && state.faultClass !== "");
    place.hidden = !told;
    if (!told) return;
    place.dataset.kind = state.state === "failed" ? "error" : "warning";
    const [safe, remedy] =
      state.state === "failed"
        ? ["The picture and the mask are kept.", "Start it again, with a shorter preset if it was a matter of memory."]
        : [
            "Every network that was evaluated is kept; nothing is computed twice.",
            "Go on to try again, or go on without what broke off: a network then counts as fitness 0, a reference is left out.",
          ];
    write(this.part("[data-fault-what]"), state.reason || "The restoration can't go on by itself.");
    write(this.part("[data-fault-safe]"), safe);
    write(this.part("[data-fault-remedy]"), remedy);
  }

  /** @param {LiveState} state */
  showLog(state) {
    const list = this.part("[data-log]");
    const newest = state.log[state.log.length - 1]?.number ?? 0;
    if (list.dataset.newest === String(newest) && list.childElementCount === state.log.length) return;
    list.dataset.newest = String(newest);
    list.replaceChildren(
      ...[...state.log].reverse().map((line) => {
        const item = document.createElement("li");
        const time = document.createElement("time");
        time.dateTime = line.at;
        time.textContent = line.at ? new Date(line.at).toLocaleTimeString() : "";
        item.append(time, document.createTextNode(line.text));
        return item;
      }),
    );
  }

  /** @param {import("../event_stream.js").Connection} connection */
  showConnection(connection) {
    const place = this.part("[data-connection]");
    const [word, title] = CONNECTIONS[connection];
    place.dataset.connection = connection;
    place.textContent = word;
    place.title = title;
  }

  /** Nothing comes any more. */
  showNoConnection() {
    this.part("[data-connection]").hidden = true;
  }

  listenToActs() {
    for (const button of this.root.querySelectorAll("button[data-act]")) {
      button.addEventListener("click", () => this.act(/** @type {HTMLButtonElement} */ (button)));
    }
  }

  /** @param {HTMLButtonElement} button */
  async act(button) {
    if (button.dataset.confirm && !window.confirm(button.dataset.confirm)) return;
    button.disabled = true;
    this.problems.replaceChildren();
    try {
      await request(button.dataset.url ?? "", { method: "POST" });
      this.stream?.catchUp();
    } catch (error) {
      showProblem(this.problems, error);
      this.stream?.catchUp();
    } finally {
      button.disabled = false;
      this.acted = button;
      this.later();
    }
  }
}

const root = document.querySelector("[data-live-page]");
if (root instanceof HTMLElement) new LivePage(root).open();
