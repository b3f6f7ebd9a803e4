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
    return { kind: one.fitness > 0 ? (index === 0 ? "best" : "evaluated") : "nothing", height, text };
  });
  for (let i = 0; i < unnamed; i += 1) bars.push({ kind: "evaluated", height: 30, text: "known from an earlier generation" });
  for (let i = 0; i < waiting; i += 1) bars.push({ kind: "waiting", height: 100, text: "waiting" });
  while (list.children.length > bars.length) list.lastElementChild?.remove();
  bars.forEach((told, at) => {
    // Bars stay where they are: whoever reads or points at one keeps it, and its height moves.
    let item = /** @type {HTMLElement | undefined} */ (list.children[at]);
    if (!item) list.append((item = emptyBar()));
    showBar(item, told);
  });
}

/** How far a race let a network go on; nothing in its first round. @param {Individual} one */
function round(one) {
  return one.rung > 0 ? `, round ${one.rung + 1}` : "";
}

function emptyBar() {
  const item = document.createElement("li");
  const words = document.createElement("span");
  words.className = "visually-hidden";
  item.append(document.createElement("span"), words);
  return item;
}

/**
 * @param {HTMLElement} item
 * @param {{kind: string, height: number, text: string}} told  height in per cent
 */
function showBar(item, { kind, height, text }) {
  const [fill, words] = /** @type {HTMLElement[]} */ ([...item.children]);
  if (item.dataset.kind !== kind) item.dataset.kind = kind;
  fill.style.height = `${height}%`;
  if (words.textContent === text) return;
  item.title = text;
  words.textContent = text;
}
