// @ts-check
/** The page that composes a restoration: the mask editor, the task, the time, the start. */

import { apiRoot, idempotencyKey, Problem, request } from "./http.js";
import { Autosave } from "./mask/autosave.js";
import { MaskEditor } from "./mask/editor.js";
import { KEYS, listenToKeys } from "./mask/keys.js";
import { positionOf, sizeAt } from "./mask/strokes.js";
import { showProblem } from "./notice.js";
import { addressOf } from "./samples.js";

/** Settings that may be set by hand, beside the seed. */
const SET_BY_HAND = ["population", "generations", "iterations"];
/** How long (ms) a start may take: a large picture's mask is looked at first. */
const START_PATIENCE = 180_000;
/** Names of the fields of which each value has costs of its own. */
const COSTS_HANG_ON = new RegExp(`^(factor|noise-.*|${SET_BY_HAND.join("|")})$`);

/**
 * @template {Element} T
 * @param {string} selector
 * @param {ParentNode} [within]
 */
function one(selector, within = document) {
  const found = within.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
}

class ComposePage {
  /**
   * @param {HTMLElement} root
   * @param {MaskEditor} editor
   */
  constructor(root, editor) {
    this.root = root;
    this.editor = editor;
    /** @type {HTMLFormElement} */
    this.form = one("form[data-compose]");
    /** @type {HTMLElement} */
    this.problems = one("[data-problems]");
    /** @type {HTMLButtonElement} */
    this.startButton = one("[data-start]");
    this.key = idempotencyKey();
    this.starting = false;
    const strokesUrl = `${apiRoot()}pictures/${root.dataset.picture}/strokes`;
    this.autosave = new Autosave(strokesUrl, () => editor.drawing.done);
    this.costOrder = 0;
    this.listen();
    this.showTool();
    this.showMask();
    this.showTask();
  }

  listen() {
    const { editor, autosave } = this;
    editor.addEventListener("paint", () => this.showMask());
    editor.addEventListener("strokes", () => {
      this.problems.replaceChildren();
      this.key = idempotencyKey();
      autosave.soon();
    });
    editor.addEventListener("tool", () => this.showTool());
    editor.addEventListener("look", () => this.showZoom());
    autosave.addEventListener("state", () => {
      this.showSaving();
      // Where the holes lie decides in how many parts a large picture is filled.
      if (autosave.state === "saved" && this.task === "inpaint") this.loadCosts();
    });
    autosave.addEventListener("refused", (event) => {
      const error = /** @type {CustomEvent} */ (event).detail;
      // A refused drawing won't become better by repeating: say why.
      if (error instanceof Problem && error.status >= 400 && error.status < 500) showProblem(this.problems, error);
    });
    this.listenToTools();
    this.form.addEventListener("change", (event) => {
      const { target } = event;
      if (!(target instanceof HTMLInputElement || target instanceof HTMLSelectElement)) return;
      if (target.name === "task") this.showTask();
      else if (COSTS_HANG_ON.test(target.name)) this.loadCosts();
      this.key = idempotencyKey();
    });
    // A field that is refused can't be focused, nor its message seen, while its part is closed.
    this.form.addEventListener("invalid", (event) => openAround(event.target), true);
    // Back from the job's page the browser may show this one as it was left.
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      this.key = idempotencyKey();
      this.ready();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    const help = /** @type {HTMLDialogElement} */ (one("[data-help]"));
    const list = one("dl", help);
    for (const [keys, what] of KEYS) {
      const term = document.createElement("dt");
      term.textContent = keys;
      const meaning = document.createElement("dd");
      meaning.textContent = what;
      list.append(term, meaning);
    }
    const openHelp = () => help.showModal();
    one("[data-open-help]").addEventListener("click", openHelp);
    listenToKeys(editor, { start: () => this.start(), help: openHelp });
  }

  listenToTools() {
    const { editor } = this;
    /** @type {Record<string, () => void>} */
    const acts = {
      undo: () => editor.undo(),
      redo: () => editor.redo(),
      clear: () => editor.clear(),
      invert: () => editor.invert(),
      fit: () => editor.fit(),
      actual: () => editor.actualSize(),
      "zoom-in": () => this.zoomMiddle(1.5),
      "zoom-out": () => this.zoomMiddle(1 / 1.5),
    };
    for (const button of document.querySelectorAll("button[data-act]")) {
      button.addEventListener("click", () => acts[/** @type {HTMLElement} */ (button).dataset.act ?? ""]());
    }
    for (const button of document.querySelectorAll("button[data-tool-button]")) {
      button.addEventListener("click", () =>
        editor.setTool(/** @type {any} */ (/** @type {HTMLElement} */ (button).dataset.toolButton)),
      );
    }
    /** @type {HTMLInputElement} */
    const size = one("[data-size]");
    size.addEventListener("input", () => editor.setSize(sizeAt(Number(size.value))));
  }

  /** @param {number} factor */
  zoomMiddle(factor) {
    this.editor.pointer = null;
    this.editor.zoomBy(factor);
  }

  get task() {
    return /** @type {HTMLInputElement} */ (one("input[name=task]:checked", this.form)).value;
  }

  showTask() {
    const painting = this.task === "inpaint";
    this.root.dataset.task = this.task;
    for (const part of document.querySelectorAll("[data-only-task]")) {
      /** @type {HTMLElement} */ (part).hidden = /** @type {HTMLElement} */ (part).dataset.onlyTask !== this.task;
    }
    this.editor.setEnabled(painting);
    this.showMask();
    this.showSaving();
    this.loadCosts();
  }

  showTool() {
    const { tool, brush } = this.editor;
    for (const button of document.querySelectorAll("button[data-tool-button]")) {
      const own = /** @type {HTMLElement} */ (button).dataset.toolButton;
      button.setAttribute("aria-pressed", String(own === tool));
    }
    /** @type {HTMLInputElement} */
    const size = one("[data-size]");
    if (sizeAt(Number(size.value)) !== brush) size.value = String(positionOf(brush));
    size.setAttribute("aria-valuetext", `${brush} px`);
    one("[data-size-text]").textContent = `${brush} px`;
    this.showZoom();
  }

  showZoom() {
    const scale = this.editor.viewport.scale * 100;
    one("[data-zoom-text]").textContent = `${scale < 10 ? scale.toFixed(1) : Math.round(scale)} %`;
  }

  showMask() {
    const { editor } = this;
    const share = editor.layer.share;
    const text = one("[data-share-text]");
    // A screen reader hears the share when a stroke ends, not with every move of it.
    text.setAttribute("aria-live", editor.stroke ? "off" : "polite");
    if (share === 0) text.textContent = "Nothing is painted yet: paint over what is to be filled.";
    else if (share === 1) text.textContent = "All of the picture is painted: something must stay to learn from.";
    else text.textContent = `${percent(share)} will be filled`;
    const usable = share > 0 && share < 1;
    /** @type {HTMLElement} */ (text).dataset.usable = String(usable);
    this.startButton.disabled = this.starting || (this.task === "inpaint" && !usable);
    // Not `disabled`: that takes the keyboard's place away from who has just undone the last stroke by it.
    const set = (/** @type {string} */ act, /** @type {boolean} */ off) => {
      one(`button[data-act=${act}]`).setAttribute("aria-disabled", String(off));
    };
    set("undo", editor.drawing.done.length === 0);
    set("redo", editor.drawing.undone.length === 0);
    set("clear", share === 0);
  }

  showSaving() {
    const place = /** @type {HTMLElement} */ (one("[data-saving]"));
    const words = { saved: "saved", saving: "saving ...", waiting: "saving ...", "not saved": "not saved, trying again", refused: "not saved" };
    place.textContent = words[this.autosave.state];
    place.dataset.saving = this.autosave.state;
    place.hidden = this.task !== "inpaint" || (!this.editor.touched && this.editor.drawing.done.length === 0);
  }

  async loadCosts() {
    const order = (this.costOrder += 1);
    const query = new URLSearchParams({ picture: this.root.dataset.picture ?? "", task: this.task });
    if (this.task === "upscale") query.set("factor", /** @type {HTMLSelectElement} */ (one("[name=factor]")).value);
    query.set("noise", /** @type {HTMLSelectElement} */ (one(`[name=noise-${this.task}]`)).value);
    for (const name of SET_BY_HAND) {
      const field = /** @type {HTMLInputElement} */ (one(`[name=${name}]`));
      if (field.value && field.validity.valid) query.set(name, String(field.valueAsNumber));
    }
    try {
      const told = await request(`${apiRoot()}presets?${query}`);
      if (order !== this.costOrder) return;
      for (const preset of told.presets) {
        const place = document.querySelector(`[data-cost="${preset.name}"]`);
        if (place) place.textContent = preset.estimate;
        const about = document.querySelector(`[data-good-for="${preset.name}"]`);
        if (about) about.textContent = `${preset.good_for} ${preset.evaluations} networks tried. ${preset.worth}`.trim();
      }
      this.showLayout(told.notes ?? []);
    } catch (error) {
      // Costs are advice: the page works without them, and the reason is shown where they would stand.
      if (order !== this.costOrder) return;
      for (const place of document.querySelectorAll("[data-cost]")) place.textContent = "";
      this.showLayout([]);
      if (error instanceof Problem && error.status === 422) showProblem(this.problems, error);
    }
  }

  /** How a large picture is fitted. @param {string[]} notes */
  showLayout(notes) {
    const place = /** @type {HTMLElement} */ (one("[data-layout-notes]"));
    place.textContent = notes.join(" ");
    place.hidden = notes.length === 0;
  }

  /** What POST jobs gets. */
  order() {
    const data = new FormData(this.form);
    /** @type {HTMLInputElement} */
    const preset = one("input[name=preset]:checked", this.form);
    /** @type {Record<string, number | string>} */
    const settings = preset.dataset.device === "cpu" ? {} : { device_class: preset.dataset.device ?? "cpu" };
    for (const name of SET_BY_HAND) {
      const value = String(data.get(name) ?? "").trim();
      if (value) settings[name] = Number(value);
    }
    const seed = String(data.get("seed") ?? "").trim();
    return {
      picture: this.root.dataset.picture,
      mask: null,
      task: this.task,
      ...(this.task === "upscale" ? { factor: Number(data.get("factor")) } : {}),
      noise: data.get(`noise-${this.task}`),
      preset: preset.value,
      ...(seed ? { seed: Number(seed) } : {}),
      share: data.get("share") === "on",
      settings,
    };
  }

  async start() {
    this.editor.endStroke(); // by the key while the button is down: what is seen counts
    if (this.starting || this.startButton.disabled || !this.form.reportValidity()) return;
    this.starting = true;
    this.startButton.disabled = true;
    this.startButton.textContent = "Starting ...";
    this.problems.replaceChildren();
    for (const field of this.form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    try {
      if (this.task === "inpaint") await this.autosave.again();
      const job = await request(`${apiRoot()}jobs`, {
        method: "POST",
        json: this.order(),
        headers: { "Idempotency-Key": this.key },
        patience: START_PATIENCE,
      });
      window.location.assign(addressOf(this.root.dataset.job ?? "", job.id));
    } catch (error) {
      this.ready();
      this.showRefusal(error);
    }
  }

  /** The button is there for the next start. */
  ready() {
    this.starting = false;
    this.startButton.textContent = "Restore";
    this.showMask();
  }

  /** @param {unknown} error */
  showRefusal(error) {
    showProblem(this.problems, error, { safe: "The picture and the mask are kept." });
    this.problems.scrollIntoView({ block: "nearest" });
    if (!(error instanceof Problem) || !error.field) return;
    const name = error.field.split(".").pop() ?? "";
    const field = this.form.querySelector(`[name="${CSS.escape(name)}"]`);
    if (!(field instanceof HTMLElement) || field instanceof HTMLInputElement === false) return;
    field.setAttribute("aria-invalid", "true");
    openAround(field);
    field.focus();
  }
}

/** Open the folded part that a field lies in. @param {EventTarget | null} field */
function openAround(field) {
  const details = field instanceof Element ? field.closest("details") : null;
  if (details) details.open = true;
}

/** @param {number} share  0..1 */
function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 0.001) return "less than 0.001 %";
  return `${value < 0.1 ? value.toFixed(3) : value < 10 ? value.toFixed(2) : value.toFixed(1)} %`;
}

async function open() {
  const root = /** @type {HTMLElement} */ (one("[data-compose-page]"));
  const stage = /** @type {HTMLElement} */ (one("[data-stage]"));
  const picture = new Image();
  picture.src = root.dataset.image ?? "";
  const size = { width: Number(root.dataset.width), height: Number(root.dataset.height) };
  const loading = document.createElement("p");
  loading.className = "loading";
  loading.setAttribute("role", "status");
  loading.textContent = "The picture is loading ...";
  stage.append(loading);
  try {
    const [drawn] = await Promise.all([
      request(`${apiRoot()}pictures/${root.dataset.picture}/strokes`),
      picture.decode().catch(() => {
        throw new Problem("The picture could not be loaded.", { remedy: "Load the page again." });
      }),
    ]);
    const editor = new MaskEditor({
      stage,
      canvas: /** @type {HTMLCanvasElement} */ (one("canvas", stage)),
      cursor: /** @type {HTMLElement} */ (one("[data-cursor]")),
      picture,
      size,
      strokes: drawn.strokes,
    });
    const hole = /** @type {HTMLInputElement} */ (one('input[name=task][value="inpaint"]'));
    const chosen = /** @type {HTMLInputElement} */ (one("input[name=task]:checked"));
    const asked = new URLSearchParams(window.location.search).has("task") || !chosen.defaultChecked;
    if (drawn.strokes.length > 0 && !asked) hole.checked = true;
    new ComposePage(root, editor);
    editor.fit();
    editor.told();
    stage.dataset.ready = "true";
  } catch (error) {
    showProblem(/** @type {HTMLElement} */ (one("[data-problems]")), error, {
      action: { label: "Load the page again", run: () => window.location.reload() },
    });
  } finally {
    loading.remove();
  }
}

open();
