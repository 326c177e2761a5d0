/** The actions of an operator as dialogs: each says what it does, how many it concerns, and the same in the command line and in curl. */
import { get, post } from './api.js';
import { amount, foreign, number } from './words.js';

/** @typedef {import('./dialogs.js').Dialog} Dialog */

/** @param {string} pool @returns {Dialog} */
export function pause(pool) {
  return {
    title: `Pause ${foreign(pool, 80)}?`,
    text: 'Nothing is sent to this pool until it is resumed, also across restarts. Its events are kept.',
    confirm: 'Pause',
    command: `event-pusher pools pause ${quoted(pool)}`,
    ...posting(`/pools/${encodeURIComponent(pool)}/pause`),
    done: () => `${pool} is paused.`,
  };
}

/** @param {string} pool @returns {Dialog} */
export function resume(pool) {
  return {
    title: `Resume ${foreign(pool, 80)}?`,
    text: 'Its waiting events are sent now, as fast as the backend accepts them.',
    confirm: 'Resume',
    command: `event-pusher pools resume ${quoted(pool)}`,
    ...posting(`/pools/${encodeURIComponent(pool)}/resume`),
    done: () => `${pool} is sending again.`,
  };
}

/** @param {string} pool @param {string} handler @returns {Dialog} */
export function pauseHandler(pool, handler) {
  return {
    title: `Pause ${foreign(handler, 60)} on ${foreign(pool, 60)}?`,
    text: 'Nothing is sent for this handler until it is resumed, also across restarts. Its events are kept; other handlers of the pool go on.',
    confirm: 'Pause',
    command: `event-pusher pools pause ${quoted(`${pool}/${handler}`)}`,
    ...posting(`${handlerPath(pool, handler)}/pause`),
    done: () => `${handler} is paused.`,
  };
}

/** @param {string} pool @param {string} handler @returns {Dialog} */
export function resumeHandler(pool, handler) {
  return {
    title: `Resume ${foreign(handler, 60)} on ${foreign(pool, 60)}?`,
    text: 'Its waiting events are sent now, as fast as the backend accepts them. If the pool is paused as well, they wait until it is resumed.',
    confirm: 'Resume',
    command: `event-pusher pools resume ${quoted(`${pool}/${handler}`)}`,
    ...posting(`${handlerPath(pool, handler)}/resume`),
    done: () => `${handler} is resumed.`,
  };
}

/** Ends the pause of a pool or handler that is not configured. @param {string} pool @param {string | null} handler @returns {Dialog} */
export function endPause(pool, handler) {
  const dialog = handler === null ? resume(pool) : resumeHandler(pool, handler);
  const name = foreign(handler ?? pool, 60);
  return {
    ...dialog,
    title: `End the pause of ${name}?`,
    text: `Nothing is sent by this, since ${name} is not configured. If it is configured again, it sends at once.`,
    confirm: 'End the pause',
    done: () => `The pause of ${name} has ended.`,
  };
}

/** @param {string} pool @param {string} handler */
function handlerPath(pool, handler) {
  return `/pools/${encodeURIComponent(pool)}/handlers/${encodeURIComponent(handler)}`;
}

/** @param {string} pool @returns {Dialog} */
export function probe(pool) {
  return {
    title: `Probe ${foreign(pool, 80)} now?`,
    text: 'One waiting event is sent at once. If the backend accepts it, the others follow; if not, the breaker stays open for longer.',
    confirm: 'Probe now',
    command: '',
    ...posting(`/pools/${encodeURIComponent(pool)}/probe`),
    done: () => `A probe of ${pool} is on its way.`,
  };
}

/** @param {string} handler @returns {Dialog} */
export function sendTest(handler) {
  return {
    title: `Send a test through ${foreign(handler, 80)}?`,
    text: 'One request, marked with the header event-pusher-test, is sent to the backend now. It is not stored, not counted and not repeated.',
    confirm: 'Send a test',
    command: `event-pusher send-test ${quoted(handler)}`,
    ...posting('/send-test', { handler }),
    done: testText,
  };
}

/** @param {string} id @param {'dead' | 'waiting'} state @returns {Dialog} */
export function retry(id, state) {
  return {
    title: state === 'dead' ? 'Replay this event?' : 'Send this event now?',
    text:
      state === 'dead'
        ? 'It is sent again under its id, behind what waits in its conversation.'
        : 'It is due at once. Earlier events of its conversation are still sent first.',
    confirm: state === 'dead' ? 'Replay' : 'Send now',
    command: `event-pusher events retry ${quoted(id)}`,
    ...posting('/events/retry', { ids: [id] }),
    done: changedText,
  };
}

/** @param {string} id @returns {Dialog} */
export function drop(id) {
  return {
    title: 'Drop this event?',
    text: 'It is removed permanently and never sent.',
    confirm: 'Drop permanently',
    isDangerous: true,
    command: `event-pusher events drop ${quoted(id)} --yes`,
    ...posting('/events/drop', { ids: [id] }),
    done: changedText,
  };
}

/** @param {{ count: number, failed: number, skipped: { why: string }[] }} answer */
function changedText({ count, failed, skipped: [skipped] }) {
  if (count > 0) return 'Done.';
  if (failed > 0) return 'It stays dead, because its callbacks failed again or make no request now.';
  return `Not changed: ${skipped?.why ?? 'there is no such event any more'}.`;
}

/**
 * @typedef {object} Group A group of dead letters.
 * @property {{ pool: string, handler: string, reason: string, detail?: string }} filter
 * @property {number} count
 */

/** @param {Group} group @param {'purge' | 'replay'} action @returns {Dialog} */
export function deadLetters({ filter, count }, action) {
  const isReplay = action === 'replay';
  const options = `--pool ${quoted(filter.pool)} --handler ${quoted(filter.handler)} --reason ${filter.reason}`;
  const path = `/dead-letters/${action}`;
  return {
    title: `${isReplay ? 'Replay' : 'Delete'} ${number(count, 'dead letter')} of ${foreign(filter.handler, 60)}?`,
    text: isReplay
      ? 'They become events again under their ids, behind what waits in their conversations, with all attempts before them.'
      : 'They are removed permanently.',
    confirm: isReplay ? 'Replay' : 'Delete permanently',
    isDangerous: !isReplay,
    command: filter.detail === undefined ? `event-pusher dead-letters ${action} ${options}${isReplay ? '' : ' --yes'}` : '', // it has no option for the detail
    count: async () => {
      const { count: found } = await post(path, { filter, dryRun: true });
      return `${number(found, 'dead letter')} match now.`;
    },
    ...posting(path, { filter }),
    done: (answer) => (isReplay ? replayText(answer) : `${number(answer.count, 'dead letter')} deleted.`),
  };
}

/** @param {{ count: number, failed: number }} answer */
function replayText({ count, failed }) {
  const rest = failed === 0 ? '' : ` ${amount(failed)} stay, because their callbacks failed again or make no request now.`;
  return `${number(count, 'dead letter')} replayed.${rest}`;
}

/** @param {string} path @param {object} [body] */
function posting(path, body) {
  const data = body === undefined ? '' : ` -H 'content-type: application/json' -d ${quoted(plainJson(body), true)}`;
  return {
    run: () => post(path, body),
    curl: `curl -X POST -H "authorization: Bearer $TOKEN"${data} ${quoted(`${location.origin}/api/v1${path}`)}`,
  };
}

/** JSON in which control and direction characters are escaped: the dialog shows it, and it can be copied. @param {object} body */
function plainJson(body) {
  const escaped = (/** @type {string} */ character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(body).replace(/[\p{Cc}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{2069}\u{feff}]/gu, escaped);
}

/** For a shell. @param {string} text @param {boolean} [always] */
export function quoted(text, always = false) {
  return !always && /^[\w./:@%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** @param {{ accepted: boolean, reason: string, url: string, method: string, outcome: any }} answer */
function testText({ accepted, reason, url, method, outcome }) {
  const verdict = accepted ? 'Accepted' : `Not accepted: ${reason}`;
  return `${verdict}. ${method} ${url}: ${outcomeText(outcome)}`;
}

/** @param {any} outcome */
export function outcomeText(outcome) {
  const took = `after ${Math.round(outcome.durationMs)} ms`;
  switch (outcome.kind) {
    case 'answered':
      return `status ${outcome.status} ${took}${outcome.excerpt === '' ? '' : `: ${outcome.excerpt}`}`;
    case 'timed-out':
      return `no answer in time (${outcome.phase}) ${took}`;
    case 'sent':
      return `sent ${took}`;
    default:
      return `${outcome.message} ${took}`;
  }
}

/** @returns {Promise<{ groups: any[], total: number, seen: number }>} */
export function deadLetterGroups() {
  return get('/dead-letters/groups');
}
