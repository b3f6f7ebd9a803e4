// @ts-check
/** Taking pictures in: drop anywhere, pick, paste. One bar a file, with bytes; refusals with reason and remedy. */

import "./deletion.js";
import { apiRoot, csrfToken, Problem, problemFrom } from "./http.js";
import { showProblem } from "./notice.js";
import { addressOf } from "./samples.js";

/** @param {number} bytes */
export function megabytes(bytes) {
  if (bytes < 1_000_000) return `${Math.max(1, Math.round(bytes / 1000))} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/**
 * @param {File} file
 * @param {(sent: number, total: number) => void} onProgress
 * @returns {{done: Promise<{id: string, name: string}>, abort: () => void}}
 */
export function send(file, onProgress) {
  const sending = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    sending.open("POST", `${apiRoot()}pictures`);
    sending.setRequestHeader("X-CSRFToken", csrfToken());
    sending.setRequestHeader("Accept", "application/json");
    sending.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    sending.addEventListener("load", () => {
      if (sending.status === 201) resolve(JSON.parse(sending.responseText));
      else reject(problemFrom(sending.status, sending.responseText));
    });
    sending.addEventListener("error", () =>
      reject(
        new Problem(`${file.name} could not be sent: the connection broke.`, {
          safe: "Nothing was stored.",
          remedy: "Look at the connection and choose the file again.",
        }),
      ),
    );
    sending.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    const form = new FormData();
    form.append("file", file, file.name || "pasted.png");
    sending.send(form);
  });
  return { done, abort: () => sending.abort() };
}

class UploadPage {
  /** @param {HTMLElement} zone */
  constructor(zone) {
    this.zone = zone;
    this.input = /** @type {HTMLInputElement} */ (zone.querySelector('input[type="file"]'));
    this.list = /** @type {HTMLElement} */ (document.querySelector("[data-uploads]"));
    this.problems = /** @type {HTMLElement} */ (document.querySelector("[data-problems]"));
    this.largest = Number(zone.dataset.largest);
    this.compose = zone.dataset.compose ?? "";
    /** Choices whose files are under way, and how many files they have together. */
    this.choices = 0;
    this.together = 0;
    this.listen();
  }

  listen() {
    const takeChosen = () => {
      this.take([...(this.input.files ?? [])]);
      this.input.value = "";
    };
    this.input.addEventListener("change", takeChosen);
    takeChosen(); // what was chosen before this script came
    let depth = 0;
    const over = (/** @type {boolean} */ on) => this.zone.toggleAttribute("data-over", on);
    document.addEventListener("dragenter", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      depth += 1;
      over(true);
    });
    document.addEventListener("dragleave", () => {
      depth = Math.max(0, depth - 1);
      if (depth === 0) over(false);
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      over(false);
      this.take([...(event.dataTransfer?.files ?? [])]);
    });
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) this.take(files);
    });
  }

  /** @param {File[]} files */
  async take(files) {
    if (files.length === 0) return;
    if (this.choices === 0) {
      this.problems.replaceChildren();
      this.together = 0;
    }
    this.choices += 1;
    this.together += files.length;
    let last = null;
    for (const file of files) last = await this.takeOne(file);
    this.choices -= 1;
    // Another page would end what is still being sent.
    if (last && this.choices === 0 && this.together === 1) window.location.assign(addressOf(this.compose, last.id));
  }

  /** @param {File} file */
  async takeOne(file) {
    const place = document.createElement("div");
    this.problems.append(place);
    if (file.size > this.largest) {
      showProblem(
        place,
        new Problem(`${file.name || "The picture"} has ${megabytes(file.size)}; this site takes up to ${Math.round(this.largest / 1_000_000)} MB.`, {
          safe: "Nothing was sent.",
          remedy: "Save it with fewer pixels or as JPEG, then choose it again.",
        }),
      );
      return null;
    }
    const row = this.row(file);
    try {
      const sending = send(file, row.progress);
      row.stop.addEventListener("click", () => sending.abort());
      const picture = await sending.done;
      row.finished(addressOf(this.compose, picture.id));
      return picture;
    } catch (error) {
      row.item.remove();
      if (!(error instanceof DOMException && error.name === "AbortError")) {
        showProblem(place, error, {
          safe: "Your other pictures and restorations are untouched.",
          action: { label: "Choose another file", run: () => this.input.click() },
        });
      }
      return null;
    }
  }

  /** @param {File} file */
  row(file) {
    const item = document.createElement("li");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = file.name || "pasted picture";
    const bytes = document.createElement("span");
    bytes.className = "quiet small figure";
    bytes.setAttribute("aria-live", "off"); // each step of the progress would be read out
    const bar = document.createElement("progress");
    bar.max = file.size || 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `sent of ${name.textContent}`);
    const stop = document.createElement("button");
    stop.type = "button";
    stop.className = "button";
    stop.textContent = "Stop";
    item.append(name, bytes, stop, bar);
    item.dataset.testid = "upload";
    this.list.append(item);
    return {
      item,
      stop,
      progress: (/** @type {number} */ sent, /** @type {number} */ total) => {
        bar.max = total;
        bar.value = sent;
        bytes.textContent =
          sent < total ? `${megabytes(sent)} of ${megabytes(total)} sent` : `${megabytes(total)} sent, being looked at`;
      },
      finished: (/** @type {string} */ address) => {
        bytes.setAttribute("aria-live", "polite");
        bytes.textContent = "taken in";
        bar.remove();
        stop.remove();
        const link = document.createElement("a");
        link.href = address;
        link.className = "button";
        link.textContent = "Restore";
        item.append(link);
      },
    };
  }
}

const zone = document.querySelector("[data-upload]");
if (zone instanceof HTMLElement) new UploadPage(zone);
