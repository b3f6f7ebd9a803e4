// @ts-check
/** Deletion asks first and then posts at once; without JavaScript the link leads to a page that asks. */

import { csrfToken } from "./http.js";

/** A POST as a form sends it. @param {string} address */
function post(address) {
  const form = document.createElement("form");
  const token = document.createElement("input");
  form.method = "post";
  form.action = address;
  token.type = "hidden";
  token.name = "csrfmiddlewaretoken";
  token.value = csrfToken();
  form.append(token);
  document.body.append(form);
  form.submit();
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-confirm]") : null;
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  if (window.confirm(link.dataset.confirm ?? "")) post(link.href);
});
