// @ts-check
/** How every chart looks: the page's own tokens, painted into a canvas. */

/** A design token's value now. @param {string} name */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** What both axes of a chart share, in uPlot's words. */
export function axisStyle() {
  return {
    stroke: token("--text-quiet"),
    font: `13px ${token("--sans")}`,
    grid: { stroke: token("--line"), width: 1 },
    ticks: { show: false },
  };
}

/** The canvas has its colours painted in: call `paint` when the ground changes. @param {() => void} paint */
export function whenGroundChanges(paint) {
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
}
