// @ts-check
/** The editor's keys, the ones that people bring from other editors. */

/** @typedef {import("./editor.js").MaskEditor} MaskEditor */

/** What the help lists; the page shows it with Shift+?. */
export const KEYS = /** @type {const} */ ([
  ["B, E, H", "brush, eraser, hand"],
  ["X", "swap brush and eraser"],
  ["right button or Ctrl", "erase while held"],
  ["Shift + click", "straight line from the last point"],
  ["[ and ]", "brush size (with Shift ten times as much); Alt + wheel"],
  ["wheel, pinch, + and -", "zoom at the pointer"],
  ["Ctrl + 0, Ctrl + 1", "fit, 100 %"],
  ["Space, middle button, two fingers", "move the picture"],
  ["Ctrl + Z, Ctrl + Shift + Z, Ctrl + Y", "undo, redo"],
  ["Ctrl + I", "invert the mask"],
  ["Ctrl + Backspace", "clear the mask"],
  ["hold O", "the picture without the mask"],
  ["Ctrl + Enter", "start the restoration"],
]);

/** @param {EventTarget | null} target */
function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["range", "radio", "checkbox", "button"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/**
 * @param {MaskEditor} editor
 * @param {{start: () => void, help: () => void}} page
 */
export function listenToKeys(editor, page) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return; // the page behind it rests
    if (isTyping(event.target) && !(event.key === "Enter" && (event.ctrlKey || event.metaKey))) return;
    const handled = event.ctrlKey || event.metaKey ? withControl(event, editor, page) : plain(event, editor, page);
    if (handled) event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.code === "Space" && editor.panning) {
      event.preventDefault(); // a button that has the focus would be pressed
      editor.setPanning(false);
    }
    if (event.key.toLowerCase() === "o") editor.setMaskShown(true);
  });
  window.addEventListener("blur", () => {
    editor.setPanning(false);
    editor.setMaskShown(true);
  });
}

/**
 * With and without Ctrl, which would zoom the whole page otherwise.
 * @param {string} key
 * @param {MaskEditor} editor
 */
function zoom(key, editor) {
  if (!["+", "=", "-"].includes(key)) return false;
  editor.zoomBy(key === "-" ? 0.8 : 1.25);
  return true;
}

/**
 * @param {KeyboardEvent} event
 * @param {MaskEditor} editor
 * @param {{start: () => void}} page
 */
function withControl(event, editor, page) {
  switch (event.key.toLowerCase()) {
    case "z":
      if (event.shiftKey) editor.redo();
      else editor.undo();
      return true;
    case "y":
      editor.redo();
      return true;
    case "0":
      editor.fit();
      return true;
    case "1":
      editor.actualSize();
      return true;
    case "i":
      editor.invert();
      return true;
    case "backspace":
      editor.clear();
      return true;
    case "enter":
      page.start();
      return true;
    default:
      return zoom(event.key, editor);
  }
}

/**
 * @param {KeyboardEvent} event
 * @param {MaskEditor} editor
 * @param {{help: () => void}} page
 */
function plain(event, editor, page) {
  if (event.altKey) return false;
  // A focused button or link keeps Space for itself, unless the pointer is over the picture.
  const onControl = !editor.pointer && event.target instanceof Element && event.target.closest("button, a, summary, input, dialog");
  if (event.code === "Space" && !onControl) {
    editor.setPanning(true);
    return true;
  }
  switch (event.key) {
    case "[":
    case "{":
      editor.stepSize(-1, event.shiftKey);
      return true;
    case "]":
    case "}":
      editor.stepSize(1, event.shiftKey);
      return true;
    case "?":
      page.help();
      return true;
    default:
      return zoom(event.key, editor) || letter(event.key.toLowerCase(), editor);
  }
}

/**
 * @param {string} key
 * @param {MaskEditor} editor
 */
function letter(key, editor) {
  switch (key) {
    case "b":
      editor.setTool("brush");
      return true;
    case "e":
      editor.setTool("eraser");
      return true;
    case "h":
      editor.setTool("hand");
      return true;
    case "x":
      editor.swapTool();
      return true;
    case "o":
      editor.setMaskShown(false);
      return true;
    default:
      return false;
  }
}
