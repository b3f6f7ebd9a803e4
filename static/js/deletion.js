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

for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-confirm]"))) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    if (window.confirm(link.dataset.confirm ?? "")) post(link.href);
  });
}
