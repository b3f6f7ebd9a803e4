// @ts-check
/**
 * A job's story as one value: a snapshot from the rows, then event by event. Pure.
 *
 * What a page shows depends on the value alone, so a page that joined late, reloaded or reconnected shows the same
 * as one that never left.
 */

import { learningFrom, withLearning } from "../watch/learning.js";

/** @typedef {import("../event_stream.js").JobEvent} JobEvent */
/** @typedef {{generation: number, best: number, mean: number, worst: number}} CurvePoint */
/** @typedef {{genome: string, rung: number, fitness: number, reason: string | null, psnr: number | null}} Individual */
/** @typedef {{genome: string, iteration: number, of: number, psnr: number | null, preview: string, final: boolean}} Current */
/** @typedef {{tiles: number, done: number, fits: number}} Finals  final fits: of so many tiles, so many done */
/** @typedef {import("../watch/learning.js").Learning} Learning */
/** @typedef {{number: number, at: string, text: string}} LogLine */

/**
 * @typedef {{
 *   last: number, countedUntil: number, state: string, reason: string, faultClass: string, ended: boolean,
 *   generation: number | null, generations: number, rung: number, rungs: number, rungShare: number,
 *   population: number, evaluated: number,
 *   individuals: readonly Individual[], curve: readonly CurvePoint[],
 *   bestFitness: number | null, bestGenome: string, bestPsnr: number | null, bestPreview: string, bestOfWhole: boolean,
 *   current: Current | null, finals: Finals | null, learning: Learning | null, place: number | null, secondsLeft: number | null,
 *   waitsFor: string, mayGoOnHere: boolean, log: readonly LogLine[],
 * }} LiveState
 */

const LOG_LENGTH = 200;
export const ENDED = new Set(["done", "cancelled", "failed"]);

/** The name of a preview's file from its address. @param {string | null | undefined} address */
function digestIn(address) {
  const found = /([0-9a-f]{64})/.exec(address ?? "");
  return found ? found[1] : "";
}

/**
 * @param {Record<string, any>} snapshot
 * @returns {LiveState}
 */
export function fromSnapshot(snapshot) {
  const current = snapshot.current ?? null;
  return {
    last: snapshot.last_event ?? 0,
    countedUntil: snapshot.last_event ?? 0,
    state: snapshot.state,
    reason: snapshot.reason ?? "",
    faultClass: snapshot.fault_class ?? "",
    ended: ENDED.has(snapshot.state),
    generation: snapshot.generation ?? null,
    generations: snapshot.generations ?? 0,
    rung: snapshot.rung ?? 0,
    rungs: snapshot.rungs ?? 1,
    rungShare: snapshot.rung_share ?? 1,
    population: snapshot.networks ?? snapshot.population ?? 0,
    evaluated: snapshot.evaluated ?? 0,
    individuals: (snapshot.individuals ?? []).map(individual),
    curve: snapshot.curve ?? [],
    bestFitness: snapshot.best_fitness ?? null,
    bestGenome: snapshot.best_genome ?? "",
    bestPsnr: snapshot.best_held_out_psnr ?? null,
    bestPreview: digestIn(snapshot.best_url),
    bestOfWhole: snapshot.best_of_whole === true,
    current: current
      ? progress(current, current.final === true)
      : digestIn(snapshot.preview_url)
        ? { genome: "", iteration: 0, of: 0, psnr: null, preview: digestIn(snapshot.preview_url), final: false }
        : null,
    finals: snapshot.finals ?? null,
    learning: learningFrom(snapshot.learning),
    place: snapshot.place_in_queue ?? null,
    secondsLeft: snapshot.seconds_left ?? null,
    waitsFor: snapshot.waits_for ?? "",
    mayGoOnHere: snapshot.may_go_on_here === true,
    log: [],
  };
}

/**
 * The next state. An event that was seen already changes nothing.
 * @param {LiveState} state
 * @param {JobEvent} event
 * @returns {LiveState}
 */
export function reduce(state, event) {
  if (event.number <= state.last) return state;
  const next = { ...state, last: event.number, log: logged(state.log, event) };
  const change = CHANGES[event.kind];
  return change ? { ...next, ...change(next, event) } : next;
}

/**
 * A later snapshot brings what events don't carry: place in the queue, time left, whether a worker is missing, and how
 * many networks of the rung have their fitness from an earlier one. What events told stays as they told it.
 * @param {LiveState} state
 * @param {Record<string, any>} snapshot
 * @returns {LiveState}
 */
export function withSnapshot(state, snapshot) {
  const fresh = fromSnapshot(snapshot);
  const { place, secondsLeft, waitsFor, mayGoOnHere } = fresh;
  const known = { ...state, place, secondsLeft, waitsFor, mayGoOnHere, finals: fresh.finals ?? state.finals };
  if (fresh.last < state.last || fresh.generation !== state.generation || fresh.rung !== state.rung) return known;
  return { ...known, evaluated: fresh.evaluated, population: fresh.population, countedUntil: fresh.last };
}

/** Events from before the snapshot, for the story only. @param {LiveState} state @param {JobEvent[]} events */
export function withEarlier(state, events) {
  /** @type {readonly LogLine[]} */
  let log = [];
  /** @type {Individual[]} */
  let individuals = [];
  let opened = false;
  for (const event of events) {
    if (event.number > state.last) continue;
    log = logged(log, event);
    if (event.kind === "generation_opened") {
      individuals = [];
      opened = true;
    }
    if (event.kind === "evaluated") individuals = withIndividual(individuals, individual(event));
  }
  const known = state.individuals.length > 0 || !opened ? state.individuals : individuals;
  return { ...state, log: [...log, ...state.log].slice(-LOG_LENGTH), individuals: known };
}

/** @type {Record<string, (state: LiveState, event: JobEvent) => Partial<LiveState>>} */
const CHANGES = {
  queued: () => ({ state: "queued", reason: "", faultClass: "" }),
  started: () => ({ state: "running", place: null, waitsFor: "", mayGoOnHere: false }),
  generation_opened: (state, event) => ({
    state: state.state === "queued" ? "running" : state.state,
    generation: event.generation,
    rung: 0,
    population: event.networks ?? event.population ?? state.population,
    evaluated: 0,
    individuals: [],
    current: null,
  }),
  // The networks that a race lets go on are counted anew; what the others came to stays in sight.
  rung_opened: (_state, event) => ({
    rung: event.rung,
    rungs: event.rungs,
    rungShare: event.share,
    population: event.networks,
    evaluated: 0,
  }),
  evaluated: (state, event) => ({
    ...working(state),
    evaluated: state.evaluated + (event.number > state.countedUntil ? 1 : 0),
    individuals: withIndividual(state.individuals, individual(event)),
  }),
  progress: (state, event) => ({ ...working(state), current: progress(event, false) }),
  best: (state, event) => ({
    bestFitness: event.fitness ?? state.bestFitness,
    bestGenome: event.genome ?? state.bestGenome,
    bestPsnr: event.held_out_psnr ?? null,
    bestPreview: event.preview || state.bestPreview,
    bestOfWhole: event.preview ? false : state.bestOfWhole,
  }),
  generation_closed: (state, event) => ({
    curve: [
      ...state.curve.filter((point) => point.generation !== event.generation),
      { generation: event.generation, best: event.best, mean: event.mean, worst: event.worst },
    ].sort((a, b) => a.generation - b.generation),
  }),
  finishing: () => ({ state: "finishing", current: null }),
  final_progress: (state, event) => ({
    ...(state.state === "queued" ? { state: "finishing", place: null } : {}),
    waitsFor: "",
    current: progress(event, true),
    finals: event.tiles ? { tiles: event.tiles, done: event.done, fits: event.fits } : state.finals,
    // A tile's preview is not one of the whole picture.
    ...(event.preview && !(event.tiles > 1) ? { bestPreview: event.preview, bestOfWhole: true } : {}),
  }),
  learning: (state, event) => ({ learning: withLearning(state.learning, event) }),
  done: () => ({ state: "done", ended: true }),
  pausing: () => ({ state: "pausing" }),
  paused: (_state, event) => ({
    state: "paused",
    reason: event.reason ?? "",
    faultClass: event.fault_class ?? "",
    current: null,
  }),
  resumed: () => ({ state: "queued", reason: "", faultClass: "" }),
  cancelling: () => ({ state: "cancelling" }),
  cancelled: () => ({ state: "cancelled", ended: true, current: null }),
  failed: (_state, event) => ({ state: "failed", ended: true, reason: event.reason ?? "", current: null }),
};

/**
 * Work says that a worker is there, and after a pause that the job goes on.
 * @param {LiveState} state
 * @returns {Partial<LiveState>}
 */
function working(state) {
  const served = { waitsFor: "", mayGoOnHere: false };
  return state.state === "queued" ? { ...served, state: "running", place: null } : served;
}

/**
 * A network has the fitness that came in last: with a race it is trained several times in a generation, each time longer.
 * @param {readonly Individual[]} individuals
 * @param {Individual} latest
 * @returns {Individual[]}
 */
function withIndividual(individuals, latest) {
  return [...individuals.filter((one) => one.genome !== latest.genome), latest];
}

/** @param {Record<string, any>} event @returns {Individual} */
function individual(event) {
  return {
    genome: event.slot_genome ?? event.genome ?? "",
    rung: event.rung ?? 0,
    fitness: event.fitness ?? 0,
    reason: event.reason ?? null,
    psnr: event.held_out_psnr ?? null,
  };
}

/** @param {Record<string, any>} event @param {boolean} final @returns {Current} */
function progress(event, final) {
  return {
    genome: event.genome ?? "",
    iteration: event.iteration ?? 0,
    of: event.of ?? 0,
    psnr: event.held_out_psnr ?? null,
    preview: event.preview || digestIn(event.preview_url),
    final,
  };
}

/** @param {readonly LogLine[]} log @param {JobEvent} event */
function logged(log, event) {
  const text = sentence(event);
  return text ? [...log, { number: event.number, at: event.at ?? "", text }].slice(-LOG_LENGTH) : log;
}

/** @param {number | null | undefined} value */
const figure = (value) => (typeof value === "number" ? value.toFixed(3) : "none");

/** What happened, in words; empty for what is shown in place. @param {JobEvent} event */
export function sentence(event) {
  switch (event.kind) {
    case "queued":
      return "Queued.";
    case "started":
      return "A worker began.";
    case "generation_opened":
      return `Generation ${event.generation} opened with ${event.population} networks.`;
    case "rung_opened":
      return event.rung > 0 ? `Round ${event.rung + 1} of ${event.rungs}: the best go on, trained for longer.` : "";
    case "generation_closed":
      return `Generation ${event.generation} closed: best ${figure(event.best)}, mean ${figure(event.mean)}.`;
    case "best":
      return `The best network so far: fitness ${figure(event.fitness)}.`;
    case "finishing":
      return "The search is over; the best networks restore the whole picture.";
    case "baseline":
      return `For comparison: ${event.method}.`;
    case "done":
      return "Done.";
    case "pausing":
      return "Pausing.";
    case "paused":
      return event.reason ? `Paused: ${event.reason}` : "Paused.";
    case "resumed":
      return "Going on.";
    case "cancelling":
      return "Cancelling.";
    case "cancelled":
      return "Cancelled.";
    case "failed":
      return `Failed: ${event.reason}`;
    case "fault":
      return `${event.genome ? "A network's run" : "A step"} broke off (${event.class}): ${event.detail ?? ""}`;
    default:
      return "";
  }
}
