// @ts-check
/** The population of the open generation, ordered by fitness: one bar a network. */

/** @typedef {import("./reducer.js").Individual} Individual */

/**
 * Bars in order of fitness, best first, then the ones that wait.
 * @param {readonly Individual[]} individuals
 * @param {number} population
 * @param {number} evaluated  may be more than is known by name, after a reload
 * @param {boolean} [open]  whether the generation is still being evaluated
 */
export function ordered(individuals, population, evaluated, open = true) {
  const known = [...individuals].sort((a, b) => b.fitness - a.fitness);
  // When the search is over nobody waits: the rest are networks that were known from an earlier generation.
  const total = open ? Math.min(population, evaluated) : population;
  const unnamed = Math.max(0, total - known.length);
  const waiting = Math.max(0, population - known.length - unnamed);
  return { known, unnamed, waiting };
}

/**
 * @param {HTMLElement} list
 * @param {readonly Individual[]} individuals
 * @param {number} population
 * @param {number} evaluated
 * @param {boolean} open
 */
export function showStrip(list, individuals, population, evaluated, open) {
  const { known, unnamed, waiting } = ordered(individuals, population, evaluated, open);
  const values = known.map((one) => one.fitness).filter((fitness) => fitness > 0);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const spread = Math.max(high - low, 0.01);
  const bars = known.map((one, index) => {
    const height = one.fitness > 0 ? 30 + 70 * ((one.fitness - low) / spread) : 6;
    const text = one.fitness > 0 ? `fitness ${one.fitness.toFixed(3)}${round(one)}` : `fitness 0: ${one.reason ?? "not usable"}`;
    return bar(one.fitness > 0 ? (index === 0 ? "best" : "evaluated") : "nothing", height, text);
  });
  for (let i = 0; i < unnamed; i += 1) bars.push(bar("evaluated", 30, "known from an earlier generation"));
  for (let i = 0; i < waiting; i += 1) bars.push(bar("waiting", 100, "waiting"));
  list.replaceChildren(...bars);
}

/** How far a race let a network go on; nothing in its first round. @param {Individual} one */
function round(one) {
  return one.rung > 0 ? `, round ${one.rung + 1}` : "";
}

/**
 * @param {string} kind
 * @param {number} height  per cent
 * @param {string} text
 */
function bar(kind, height, text) {
  const item = document.createElement("li");
  item.dataset.kind = kind;
  item.title = text;
  const fill = document.createElement("span");
  fill.style.height = `${height}%`;
  const words = document.createElement("span");
  words.className = "visually-hidden";
  words.textContent = text;
  item.append(fill, words);
  return item;
}
