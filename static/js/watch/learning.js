// @ts-check
/** What is known of the final fit that can be watched, as one value; and its sentences. Pure. */

/** @typedef {[number, number]} Look  iteration, held-out PSNR in dB */
/** @typedef {{iteration: number, psnr: number | null, picture: string, taken: boolean}} Still  picture: a digest or an address */
/**
 * @typedef {{
 *   genome: string, tile: number, tiles: number, of: number, curve: readonly Look[],
 *   stills: readonly [number, string][], best: number | null, iterations: number | null, again: number | null,
 * }} Learning
 */

/**
 * From an event of the kind "learning", or from a snapshot's.
 * @param {Record<string, any> | null | undefined} told
 * @returns {Learning | null}
 */
export function learningFrom(told) {
  if (!told) return null;
  return {
    genome: told.genome ?? "",
    tile: told.tile ?? 0,
    tiles: told.tiles ?? 1,
    of: told.of ?? 0,
    curve: told.curve ?? [],
    stills: told.stills ?? [],
    best: told.best_iteration ?? null,
    iterations: told.iterations ?? null,
    again: told.refit_iterations ?? null,
  };
}

/**
 * What is known after another event. One of a fit that has stopped tells all; others add to what is known, also where a
 * fit had to begin again.
 * @param {Learning | null} known
 * @param {Record<string, any>} event
 * @returns {Learning}
 */
export function withLearning(known, event) {
  const told = /** @type {Learning} */ (learningFrom(event));
  if (!known || told.best !== null) return told;
  return { ...told, curve: joined(known.curve, told.curve), stills: joined(known.stills, told.stills) };
}

/**
 * Pairs of both by iteration; the later one of an iteration stands.
 * @template T
 * @param {readonly [number, T][]} known
 * @param {readonly [number, T][]} more
 * @returns {[number, T][]}
 */
function joined(known, more) {
  return [...new Map([...known, ...more])].sort((a, b) => a[0] - b[0]);
}

/**
 * The stills in order, each with its PSNR where one was measured there.
 * @param {Learning} learning
 * @returns {Still[]}
 */
export function stillsOf(learning) {
  const psnr = new Map(learning.curve);
  return learning.stills.map(([iteration, picture]) => ({
    iteration,
    picture,
    psnr: psnr.get(iteration) ?? null,
    taken: iteration === learning.best,
  }));
}

/** What stands under a still. @param {Still} still */
export function caption(still) {
  const psnr = still.psnr === null ? "" : `, ${still.psnr.toFixed(2)} dB`;
  return `iteration ${still.iteration}${psnr}${still.taken ? ", best" : ""}`;
}

/** What a screen reader says of the slider's place. @param {Still} still */
export function spoken(still) {
  const psnr = still.psnr === null ? "" : `, ${still.psnr.toFixed(2)} dB on held-out pixels`;
  return `iteration ${still.iteration}${psnr}${still.taken ? ", the best of this fit" : ""}`;
}

/** The live page's sentences. @param {Learning} learning @returns {string[]} */
export function sentences(learning) {
  const { best, iterations, again, curve } = learning;
  const words = learning.tiles > 1 ? [`Shown is tile ${learning.tile + 1} of ${learning.tiles}.`] : [];
  if (best === null) return words;
  if (curve.length === 0) words.push(`Nothing was held out; the output after iteration ${best} was taken.`);
  else if (best === iterations) words.push(`It learnt to the last iteration: held-out pixels were predicted best after iteration ${best}.`);
  else words.push(`Stopped at iteration ${iterations}: held-out pixels were predicted best after iteration ${best}.`);
  if (again) words.push(`Then it was fitted again on everything, for ${again} iterations; the result is made of second fits alone.`);
  return words;
}

/** The curve in words. @param {readonly Look[]} curve @param {number | null} best */
export function described(curve, best) {
  if (curve.length === 0) return "Held-out PSNR by iteration: nothing was looked at yet.";
  const [first, last] = [curve[0], curve[curve.length - 1]];
  const look = (/** @type {Look} */ at) => `${at[1].toFixed(2)} dB at iteration ${at[0]}`;
  const taken = curve.find(([iteration]) => iteration === best);
  return `Held-out PSNR by iteration: from ${look(first)} to ${look(last)}${taken ? `; best: ${look(taken)}` : ""}.`;
}

/**
 * The range of the axis of decibels: what is there with a tenth of room, never flatter than 1 dB.
 * @param {readonly number[]} values
 * @returns {[number, number]}
 */
export function decibelRange(values) {
  if (values.length === 0) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = Math.max((high - low) * 0.1, (1 - (high - low)) / 2, 0.05);
  return [low - room, high + room];
}
