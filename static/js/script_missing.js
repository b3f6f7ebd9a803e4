// @ts-check
/** Says so when a page's script does not come. A classic script of its own, since modules that import it would be missing with it. */

document.addEventListener(
  "error",
  (event) => {
    const script = event.target;
    const main = document.querySelector("main");
    if (!(script instanceof HTMLScriptElement) || !main || main.querySelector("[data-script-missing]")) return;
    const box = document.createElement("div");
    box.className = "notice";
    box.dataset.kind = "error";
    box.dataset.testid = "notice";
    box.dataset.scriptMissing = "";
    box.setAttribute("role", "alert");
    const what = document.createElement("strong");
    what.textContent = "A part of this page could not be loaded.";
    const safe = document.createElement("p");
    safe.textContent = "What the server has is kept; a running restoration goes on.";
    const remedy = document.createElement("p");
    remedy.textContent = "Look at the connection and load the page again.";
    box.append(what, safe, remedy);
    main.prepend(box);
  },
  true,
);
