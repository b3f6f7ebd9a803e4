// @ts-check
/** Requests to this site's API: session cookie, CSRF token, problem+json as one kind of error. */

/**
 * A refusal in three lines: what happened, what is safe, what to do.
 */
export class Problem extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, safe?: string, remedy?: string, field?: string, file?: string}} [more]
   */
  constructor(message, more = {}) {
    super(message);
    this.name = "Problem";
    this.status = more.status ?? 0;
    this.safe = more.safe ?? "";
    this.remedy = more.remedy ?? "";
    this.field = more.field ?? "";
    this.file = more.file ?? "";
  }
}

/** How long (ms) an answer may take before the site counts as out of reach. */
const PATIENCE = 30_000;

/** The CSRF token: the cookie's, which another tab may have renewed by logging in, else the page's own. */
export function csrfToken() {
  const cookie = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie);
  if (cookie) return cookie[1];
  const meta = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="csrf-token"]'));
  return meta ? meta.content : "";
}

/** The API's address with its path prefix, ending with a slash. */
export function apiRoot() {
  return document.body.dataset.api ?? "";
}

/**
 * @param {number} status
 * @param {string} body
 * @returns {Problem}
 */
export function problemFrom(status, body) {
  /** @type {Record<string, unknown>} */
  let told = {};
  try {
    told = JSON.parse(body);
  } catch {
    told = {};
  }
  const text = (/** @type {string} */ key) => (typeof told[key] === "string" ? /** @type {string} */ (told[key]) : "");
  const file = text("file");
  const reason = text("reason") || text("detail") || text("title") || plainWords(status);
  return new Problem(file && !reason.includes(file) ? `${file}: ${reason}` : reason, {
    status,
    remedy: text("remedy"),
    safe: text("safe"),
    field: text("field"),
    file,
  });
}

/** @param {number} status */
function plainWords(status) {
  if (status === 401 || status === 403) return "You are no longer logged in, or this page is too old.";
  if (status === 404) return "This is not there any more.";
  if (status === 413) return "The file is larger than this site takes in.";
  if (status === 429) return "That was too much at once.";
  if (status >= 500) return "The site could not answer.";
  return `The site answered ${status}.`;
}

/** No answer, or none of this site. */
function outOfReach() {
  return new Problem("The site can't be reached.", {
    safe: "What the server has is kept; a running restoration goes on.",
    remedy: "Look at the connection and try again.",
  });
}

/**
 * @param {string} address
 * @param {{method?: string, json?: unknown, headers?: Record<string, string>, keepalive?: boolean,
 *   signal?: AbortSignal, patience?: number}} [options]  patience: ms until the answer must be there
 * @returns {Promise<any>} the decoded answer, null when it is empty
 * @throws {Problem}
 */
export async function request(address, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken(), ...options.headers };
  if (options.json !== undefined) headers["Content-Type"] = "application/json";
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(), options.patience ?? PATIENCE);
  options.signal?.addEventListener("abort", () => ended.abort());
  if (options.signal?.aborted) ended.abort();
  let answer;
  let body;
  try {
    answer = await fetch(address, {
      method: options.method ?? "GET",
      credentials: "same-origin",
      headers,
      body: options.json === undefined ? undefined : JSON.stringify(options.json),
      keepalive: options.keepalive ?? false,
      signal: ended.signal,
    });
    body = await answer.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw outOfReach();
  } finally {
    clearTimeout(timer);
  }
  if (!answer.ok) throw problemFrom(answer.status, body);
  try {
    return body ? JSON.parse(body) : null;
  } catch {
    throw outOfReach(); // a network's login page, say, that answers for the site
  }
}

/** A key that makes a repeated POST harmless; works on plain http too, where randomUUID is missing. */
export function idempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
