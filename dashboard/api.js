/** Requests to the API of the service that served this page. */

/** A request that was not served. `code` is that of the API, `UNREACHABLE` without an answer. */
export class Refused extends Error {
  /** @param {string} code @param {string} message @param {number} status */
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Default time limit of a request, ms. */
const defaultTimeoutMs = 8000;

/** @param {string} path below `/api/v1` @returns {Promise<any>} */
export function get(path) {
  return request(`api/v1${path}`, {});
}

/**
 * @param {string} path below `/api/v1` @param {object} [body] @param {Limits} [limits] @returns {Promise<any>}
 *
 * @typedef {{ timeoutMs?: number, signal?: AbortSignal | undefined }} Limits of a request that may take long, or that may be cancelled
 */
export function post(path, body = {}, limits = {}) {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return request(`api/v1${path}`, init, limits);
}

/** Exchanges the token for a cookie that this page cannot read. @param {string} token */
export async function signIn(token) {
  await request('session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) });
}

export async function signOut() {
  await request('session', { method: 'DELETE' });
}

/** @param {string} address @param {RequestInit} init @param {Limits} [limits] @returns {Promise<any>} */
async function request(address, init, { timeoutMs = defaultTimeoutMs, signal: cancelled } = {}) {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = cancelled === undefined ? timeout : AbortSignal.any([timeout, cancelled]);
  const response = await fetch(address, { ...init, credentials: 'same-origin', signal }).catch(() => {
    throw new Refused('UNREACHABLE', 'the service does not answer', 0);
  });
  if (response.status === 204) return undefined;
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  const code = typeof answer?.code === 'string' ? answer.code : 'UNREADABLE';
  const message =
    typeof answer?.message === 'string' ? answer.message : `the answer of the service is not readable (status ${response.status})`;
  throw new Refused(code, message, response.status);
}
