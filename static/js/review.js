// @ts-check
/** Review by keys: A approves, R rejects, J and K or the arrows move, N writes a note. */

const cards = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-discovery]")]);

/** @returns {number} the card that has the focus, -1 for none */
function here() {
  return cards.findIndex((card) => card.contains(document.activeElement));
}

/** @param {number} step */
function move(step) {
  const at = here();
  const next = cards[Math.min(cards.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** @param {"approve" | "reject"} verdict */
function judge(verdict) {
  const card = cards[here()];
  const button = card?.querySelector(`button[value="${verdict}"]`);
  if (!(button instanceof HTMLButtonElement)) return;
  // After the answer the page opens on the next card.
  const next = cards[here() + 1];
  if (next) sessionStorage.setItem("nasdip.review.next", next.dataset.discovery ?? "");
  button.click();
}

/** Notes that are being written outlive the page of another card's verdict. */
for (const card of cards) {
  const note = card.querySelector("textarea");
  if (!note) continue;
  const key = `nasdip.review.note.${card.dataset.discovery}`;
  note.value ||= sessionStorage.getItem(key) ?? "";
  note.addEventListener("input", () => sessionStorage.setItem(key, note.value));
  note.form?.addEventListener("submit", () => sessionStorage.removeItem(key));
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement || target instanceof HTMLSelectElement) {
    if (event.key === "Escape") cards[here()]?.focus();
    return;
  }
  /** @type {Record<string, () => void>} */
  const acts = {
    a: () => judge("approve"),
    r: () => judge("reject"),
    j: () => move(1),
    k: () => move(-1),
    arrowdown: () => move(1),
    arrowup: () => move(-1),
    n: () => cards[here()]?.querySelector("textarea")?.focus(),
  };
  const act = acts[event.key.toLowerCase()];
  if (!act || (event.key.length > 1 && here() < 0)) return;
  event.preventDefault();
  // A key held down would judge one network after the other.
  if (event.repeat && "ar".includes(event.key.toLowerCase())) return;
  act();
});

const wanted = sessionStorage.getItem("nasdip.review.next");
sessionStorage.removeItem("nasdip.review.next");
const start = cards.find((card) => card.dataset.discovery === wanted);
start?.focus();
