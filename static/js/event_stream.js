// @ts-check
/**
 * A job's events in order, each once, over whatever way is open: a websocket, and polling where sockets are blocked.
 *
 * The server numbers events 1, 2, 3 ... without holes. A number that is too high means that something was missed:
 * the missing ones are fetched before anything else is handed on.
 */

/** @typedef {{number: number, kind: string, at?: string, [more: string]: any}} JobEvent */
/** @typedef {"live" | "catching up" | "offline" | "polling"} Connection */

const FIRST_WAIT = 500;
const LONGEST_WAIT = 20_000;
const POLL_EVERY = 2_000;
const SOCKET_AGAIN_EVERY = 60_000;
const QUIET_CHECK_EVERY = 15_000;
/** After so many sockets that closed without ever carrying a message, polling starts. */
const FAILURES_BEFORE_POLLING = 3;
/** A socket that stayed open so long (ms) counts as working although nothing came. */
const STEADY_AFTER = 5_000;
/** The job is gone, or whoever asks is not logged in: as a socket closes, and as a request answers. */
const CLOSED_BY_STATUS = new Map([[401, 4401], [404, 4404]]);
const CLOSED_FOR_GOOD = new Set(CLOSED_BY_STATUS.values());

/**
 * Exponential back-off with jitter: between half and the whole of the step.
 * @param {number} failures
 * @param {() => number} random  0..1
 */
export function backOff(failures, random) {
  const step = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.max(0, failures - 1));
  return step * (0.5 + random() / 2);
}

export class EventStream {
  /**
   * @param {{
   *   socketUrl: (after: number) => string,
   *   fetchEvents: (after: number) => Promise<{events: JobEvent[]}>,
   *   after: number,
   *   onEvents: (events: JobEvent[]) => void,
   *   onConnection: (connection: Connection) => void,
   *   onClosed?: (code: number) => void,
   *   random?: () => number,
   * }} options
   */
  constructor(options) {
    this.options = options;
    this.last = options.after;
    this.random = options.random ?? Math.random;
    this.failures = 0;
    this.stopped = false;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Connection | null} */
    this.connection = null;
    /** One thing at a time: messages and fetches are handled in the order of their arrival. */
    this.queue = Promise.resolve();
    /** @type {Map<string, number>} */
    this.timers = new Map();
    this.wake = this.wake.bind(this);
  }

  start() {
    window.addEventListener("online", this.wake);
    window.addEventListener("offline", this.wake);
    document.addEventListener("visibilitychange", this.wake);
    this.say("catching up");
    this.openSocket();
    this.watchQuiet();
  }

  stop() {
    this.stopped = true;
    window.removeEventListener("online", this.wake);
    window.removeEventListener("offline", this.wake);
    document.removeEventListener("visibilitychange", this.wake);
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.socket?.close();
    this.socket = null;
  }

  /** The laptop woke up, the net is back or gone: don't wait for the next timer. */
  wake() {
    if (this.stopped || document.visibilityState === "hidden") return;
    if (!this.socket) this.openSocket();
    this.catchUp();
  }

  openSocket() {
    if (this.stopped || this.socket) return;
    this.cancelTimer("socket");
    let carried = false;
    let opened = Infinity;
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new WebSocket(this.options.socketUrl(this.last));
    } catch {
      this.socketFailed(false);
      return;
    }
    this.socket = socket;
    socket.addEventListener("message", (message) => {
      if (this.socket !== socket) return;
      carried = true;
      this.failures = 0;
      this.cancelTimer("poll");
      const told = JSON.parse(message.data);
      if (told.type === "events") this.enqueue(() => this.take(told.events));
      if (this.connection === "offline") this.catchUp();
    });
    socket.addEventListener("open", () => {
      opened = performance.now();
      // Live is said when nothing is missing, not when the line is open.
      this.enqueue(async () => {
        const reached = await this.fetchMissing();
        if (this.socket === socket) this.say(reached ? "live" : "offline");
      });
    });
    socket.addEventListener("close", (closed) => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (CLOSED_FOR_GOOD.has(closed.code)) {
        this.closeForGood(closed.code);
      } else {
        this.socketFailed(carried || performance.now() - opened > STEADY_AFTER);
      }
    });
  }

  /** @param {number} [code]  none: it may open again */
  closeForGood(code) {
    if (code === undefined || this.stopped) return;
    this.stop();
    this.say("offline");
    this.options.onClosed?.(code);
  }

  /** @param {boolean} carried  whether the socket had worked before it closed */
  socketFailed(carried) {
    if (this.stopped) return;
    this.failures = carried ? 1 : this.failures + 1;
    if (this.failures >= FAILURES_BEFORE_POLLING) {
      if (!this.timers.has("poll")) this.poll(0);
      this.later("socket", SOCKET_AGAIN_EVERY, () => this.openSocket());
    } else {
      this.say(navigator.onLine ? "catching up" : "offline");
      this.later("socket", backOff(this.failures, this.random), () => this.openSocket());
    }
  }

  /** @param {number} failures  how many polls in a row failed */
  poll(failures) {
    const wait = failures === 0 ? POLL_EVERY : Math.max(POLL_EVERY, backOff(failures + 2, this.random));
    this.enqueue(async () => {
      const reached = await this.fetchMissing();
      if (this.stopped || this.socket?.readyState === WebSocket.OPEN) return;
      this.say(reached ? "polling" : "offline");
      if (reached && failures > 0) this.openSocket(); // the site is back: sockets may open again, too
      this.later("poll", reached ? POLL_EVERY : wait, () => this.poll(reached ? 0 : failures + 1));
    });
  }

  /** A socket may be half-open after sleep: when it is quiet, ask. What the socket missed shows that it is dead. */
  watchQuiet() {
    this.later("quiet", QUIET_CHECK_EVERY, () => {
      this.catchUp();
      this.watchQuiet();
    });
  }

  catchUp() {
    this.enqueue(async () => {
      if (this.timers.has("poll")) return;
      const before = this.last;
      const reached = await this.fetchMissing();
      if (this.stopped || !this.socket) return;
      if (!reached) this.say("offline");
      else if (this.last > before + 1) this.socket.close();
      else if (this.socket.readyState === WebSocket.OPEN) this.say("live");
    });
  }

  /** @param {JobEvent[]} events */
  async take(events) {
    const fresh = events.filter((event) => event.number > this.last);
    if (fresh.length === 0) return;
    if (fresh[0].number === this.last + 1) this.hand(fresh);
    else await this.fetchMissing();
  }

  /**
   * Hand on events that follow the last one; stop at the first hole.
   * @param {JobEvent[]} events
   */
  hand(events) {
    /** @type {JobEvent[]} */
    const next = [];
    for (const event of events) {
      if (event.number === this.last + 1) {
        next.push(event);
        this.last = event.number;
      }
    }
    if (next.length > 0 && !this.stopped) this.options.onEvents(next);
  }

  /** Fetch until nothing newer is there. @returns {Promise<boolean>} whether the site answered */
  async fetchMissing() {
    for (;;) {
      let page;
      try {
        page = await this.options.fetchEvents(this.last);
      } catch (error) {
        this.closeForGood(CLOSED_BY_STATUS.get(/** @type {{status?: number}} */ (error).status ?? 0));
        return false;
      }
      const before = this.last;
      this.hand(page.events);
      if (this.last === before || this.stopped) return true;
    }
  }

  /** @param {() => Promise<void>} work */
  enqueue(work) {
    this.queue = this.queue.then(work).catch((error) => console.error(error));
  }

  /** @param {Connection} connection */
  say(connection) {
    if (connection === this.connection) return;
    this.connection = connection;
    this.options.onConnection(connection);
  }

  /**
   * @param {string} name
   * @param {number} wait  ms
   * @param {() => void} run
   */
  later(name, wait, run) {
    this.cancelTimer(name);
    this.timers.set(
      name,
      window.setTimeout(() => {
        this.timers.delete(name);
        if (!this.stopped) run();
      }, wait),
    );
  }

  /** @param {string} name */
  cancelTimer(name) {
    clearTimeout(this.timers.get(name));
    this.timers.delete(name);
  }
}
