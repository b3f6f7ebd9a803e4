// @ts-check
/** The live page's sentences. Pure. */

/** @typedef {import("./reducer.js").LiveState} LiveState */

/** States in which a job wants a worker. */
const WORKED_ON = new Set(["queued", "running", "finishing"]);
const ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];

/** @param {number} generation  from 0 */
export function ordinal(generation) {
  if (generation < ORDINALS.length) return ORDINALS[generation];
  const number = generation + 1;
  const suffix = Math.floor(number / 10) % 10 === 1 ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
  return `${number}${suffix}`;
}

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * The time left as a person says it; a guess that has run out says so.
 * @param {number | null} seconds  null: nothing of this job was measured yet
 */
export function timeLeft(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "time left: known after the first networks";
  if (seconds <= 0) return "a little longer than estimated";
  if (seconds < 50) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `about ${minutes} min left`;
  return `about ${(minutes / 60).toFixed(1)} h left`;
}

/** Whether only what nobody estimates is left: the result is put together, references are computed. @param {LiveState} state */
function fitted(state) {
  return state.state === "finishing" && state.finals !== null && state.finals.done >= state.finals.fits;
}

/**
 * What stands beside the clock: nothing while nobody works on the job, nor once all its networks are done.
 * @param {LiveState} state
 * @param {number} since  seconds since the estimate
 */
export function leftSentence(state, since) {
  if (!["running", "finishing"].includes(state.state) || state.waitsFor || fitted(state)) return "";
  return timeLeft(state.secondsLeft === null ? null : state.secondsLeft - since);
}

/**
 * What is going on, as a sentence; first why it does not go on, where no worker can serve the job.
 * @param {LiveState} state
 */
export function nowSentence(state) {
  const going = goingOn(state);
  return state.waitsFor && WORKED_ON.has(state.state) ? `${state.waitsFor} ${going}`.trim() : going;
}

/** @param {LiveState} state */
function goingOn(state) {
  switch (state.state) {
    case "queued":
      if (state.waitsFor && (state.place ?? 1) <= 1) return "";
      if (state.place === null) return "Waiting for a worker.";
      return state.place <= 1 ? "Next in the queue." : `Place ${state.place} in the queue.`;
    case "running":
      if (state.generation === null) return "A worker is preparing the picture.";
      return `${capital(ordinal(state.generation))} generation of at most ${state.generations}${roundOf(state)}, ${Math.min(
        state.evaluated,
        state.population,
      )} of ${state.population} networks.`;
    case "finishing":
      if (fitted(state))
        return "The networks are done. The result is put together, and methods without a network are computed beside it.";
      if (state.finals && state.finals.tiles > 1)
        return `The search is over. The best network now restores the picture in ${state.finals.tiles} tiles: ${state.finals.done} of ${state.finals.fits} fits are done.`;
      return "The search is over. The best networks now restore the whole picture.";
    case "pausing":
      return "Pausing: running fits are being stopped.";
    case "paused":
      return state.reason || "Paused. Everything so far is kept.";
    case "cancelling":
      return "Cancelling.";
    case "cancelled":
      return "Cancelled. What was tried stays here to look at.";
    case "failed":
      return state.reason;
    default:
      return "Done.";
  }
}

/** Where a race stands. @param {LiveState} state */
function roundOf(state) {
  if (state.rungs <= 1) return "";
  return `, round ${state.rung + 1} of ${state.rungs} (${Math.round(100 * state.rungShare)} % of the training)`;
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What the owner may do now. @param {string} state @param {string} faultClass @param {boolean} mayGoOnHere */
export function allowedActs(state, faultClass, mayGoOnHere) {
  return {
    here: mayGoOnHere,
    pause: ["queued", "running"].includes(state),
    resume: state === "paused",
    without: state === "paused" && faultClass !== "",
    cancel: ["queued", "running", "pausing", "paused", "finishing"].includes(state),
  };
}
