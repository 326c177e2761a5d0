/** Finds events by user or id, and shows what happened to one of them, step by step. */
import { drop, outcomeText, retry } from './actions.js';
import { get } from './api.js';
import { erase, userIn } from './erase.js';
import { html, useEffect, useRef, useState } from './view.js';
import { ago, amount, clock, foreign, number, span } from './words.js';

/**
 * @typedef {import('zod').output<typeof import('../src/admin/api/event-shapes.ts').eventShape>} Event
 * @typedef {import('zod').output<typeof import('../src/admin/api/event-shapes.ts').eventDetailShape>} Detail
 * @typedef {((dialog: import('./dialogs.js').Dialog) => void) | undefined} Open Undefined if the caller may not change anything.
 * @typedef {{ kind: 'failed', text: string } | { kind: 'found', text: string, events: Event[], isPart: boolean } | { kind: 'idle' } | { kind: 'searching' }} Search
 */

/** Events shown of one search. */
const most = 50;

/** Maximum length of a `webhook-id`. */
const longestId = 200;

/** @param {{ now: number, open: Open, mayErase: boolean }} props */
export function Events({ now, open, mayErase }) {
  const [text, setText] = useState('');
  const [search, setSearch] = useState(/** @type {Search} */ ({ kind: 'idle' }));
  const last = useRef(/** @type {object | undefined} */ (undefined));

  /** @param {globalThis.Event} [event] */
  async function submit(event) {
    event?.preventDefault();
    const wanted = { text: text.trim() };
    last.current = wanted;
    if (wanted.text === '') return setSearch({ kind: 'idle' });
    setSearch({ kind: 'searching' });
    const isWanted = () => last.current === wanted;
    const result = await find(wanted.text, isWanted).catch((error) => /** @type {Search} */ ({ kind: 'failed', text: error.message }));
    if (isWanted()) setSearch(result);
  }

  return html`<section aria-labelledby="events-title">
    <h2 id="events-title">Find an event</h2>
    <form role="search" class="search" onSubmit=${submit}>
      <input
        id="search"
        type="search"
        placeholder="JID, webhook-id, id of the stanza or archive id (/)"
        aria-label="JID of a sender or receiver, webhook-id, id of the stanza or archive id"
        value=${text}
        onInput=${(/** @type {any} */ typed) => setText(typed.target.value)}
      />
      <button type="submit">Search</button>
    </form>
    <${Found} search=${search} now=${now} open=${open} mayErase=${mayErase} again=${submit} />
  </section>`;
}

/**
 * A text with `@` may be a JID, and any text the id of a stanza, which clients choose. A caller that may not see content can search for ids
 * only: the refusal counts if they are not found.
 * @param {string} text @param {() => boolean} isWanted @returns {Promise<Search>}
 */
async function find(text, isWanted) {
  const value = encodeURIComponent(text);
  const keys = [text.includes('@') ? 'jid' : 'id', 'stanzaId'].filter((key) => key !== 'id' || text.length <= longestId);
  const results = await Promise.allSettled(keys.map((key) => eventsBy(`${key}=${value}`, isWanted)));
  const answers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const refused = results.find((result) => result.status === 'rejected');
  if (refused?.status === 'rejected' && answers.every((answer) => answer.events.length === 0)) throw refused.reason;
  const events = /** @type {Map<string, Event>} */ (new Map());
  for (const answer of answers) for (const event of answer.events) events.set(`${event.id} ${event.createdAt}`, event);
  const newestFirst = [...events.values()].sort((one, other) => other.createdAt.localeCompare(one.createdAt));
  return { kind: 'found', text, events: newestFirst, isPart: answers.some(({ isPart }) => isPart) };
}

/** A page of a large spool ends after two seconds, even if it is empty. @param {string} query @param {() => boolean} isWanted */
async function eventsBy(query, isWanted) {
  /** @type {Event[]} */
  let events = [];
  let cursor = '';
  do {
    const page = await get(`/events?${query}&limit=${most - events.length}${cursor}`);
    events = [...page.events, ...events];
    cursor = page.next === null ? '' : `&cursor=${page.next}`;
  } while (cursor !== '' && events.length < most && isWanted());
  return { events, isPart: cursor !== '' };
}

/** @param {{ search: Search, now: number, open: Open, mayErase: boolean, again: () => void }} props */
function Found({ search, now, open, mayErase, again }) {
  switch (search.kind) {
    case 'idle':
      return null;
    case 'searching':
      return html`<p class="empty" role="status">Searching…</p>`;
    case 'failed':
      return html`<p class="problem" role="alert">${foreign(search.text)}</p>`;
    default: {
      const { text, events, isPart } = search;
      const user = mayErase ? userIn(text) : undefined;
      const count =
        events.length === 0
          ? 'No such event waits, is dead, or is in the history.'
          : `${number(events.length, 'event')}${isPart ? ', and there are more' : ''}, the newest first.`;
      return html`<p class="dim" role="status">${count} <button type="button" class="quiet" onClick=${again}>Search again</button></p>
        ${open !== undefined && user !== undefined && html`<p class="buttons"><button type="button" onClick=${() => open(erase(user, again))}>Erase this user's data…<span class="hidden"> ${user}</span></button></p>`}
        <ul class="rows">
          ${events.map((event) => html`<${EventRow} key=${event.id} event=${event} now=${now} open=${open} />`)}
        </ul>`;
    }
  }
}

const levels = { waiting: 'notice', delivered: 'well', dead: 'critical', withheld: 'warning', dropped: 'warning' };

/** @param {{ event: Event, now: number, open: Open }} props */
function EventRow({ event, now, open }) {
  const { id, state, handler, pool, kind, sender, receiver, status, attempts, createdAt, reason } = event;
  const [isOpen, setOpen] = useState(false);
  return html`<li>
    <div class="head">
      <h3><span class=${`badge ${levels[state]}`}>${state}</span> <span class="id">${foreign(handler, 120)}</span> <span class="dim">on ${foreign(pool, 80)}</span></h3>
      <span class="buttons">
        <button type="button" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>Timeline<span class="hidden"> of ${id}</span></button>
        ${open !== undefined && (state === 'waiting' || state === 'dead') && html`<button type="button" onClick=${() => open(retry(id, state))}>${state === 'dead' ? 'Replay' : 'Send now'}<span class="hidden"> ${id}</span></button>`}
        ${open !== undefined && state === 'waiting' && html`<button type="button" class="quiet" onClick=${() => open(drop(id))}>Drop<span class="hidden"> ${id}</span></button>`}
      </span>
    </div>
    <p class="facts">
      <span class="id">${foreign(id, 200)}</span>
      ${kind !== null && html`<span>${foreign(kind, 40)}</span>`}
      ${sender !== null && html`<span>from <span class="id">${foreign(sender, 200)}</span></span>`}
      ${receiver !== null && html`<span>to <span class="id">${foreign(receiver, 200)}</span></span>`}
      <span>${ago(createdAt, now)}</span>
      <span>${number(attempts, 'attempt')}${status === null ? '' : `, last status ${status}`}</span>
      ${reason !== '' && html`<span class="bad">${foreign(reason, 80)}</span>`}
    </p>
    ${isOpen && html`<${Timeline} key=${state} id=${id} now=${now} />`}
  </li>`;
}

/** @param {{ id: string, now: number }} props */
function Timeline({ id, now }) {
  const [shown, setShown] = useState(/** @type {Detail | string | undefined} */ (undefined));
  useEffect(() => void get(`/events/${encodeURIComponent(id)}`).then(setShown, (error) => setShown(error.message)), [id]);
  if (shown === undefined) return html`<p class="empty" role="status">Loading…</p>`;
  if (typeof shown === 'string') return html`<p class="problem" role="alert">${foreign(shown)}</p>`;
  return html`<ol class="timeline">
    ${stepsOf(shown, now).map(
      ({ at, title, text, level }, index) => html`<li key=${index} class=${level}>
      <time datetime=${at ?? ''}>${at === null ? '' : clock(at)}</time>
      <div><strong>${title}</strong>${text !== '' && html` <span>${foreign(text, 1000)}</span>`}</div>
    </li>`,
    )}
  </ol>`;
}

/** @param {Detail} event @param {number} now */
function stepsOf(event, now) {
  const { seenAt, settledAt, state, reason, detail, timeline, descendants, dueAt, messageId, stanzaId } = event;
  const ids = [messageId === null ? '' : `id ${messageId}`, stanzaId === null ? '' : `archive id ${stanzaId}`]
    .filter((each) => each !== '')
    .join(', ');
  return [
    { at: seenAt, title: 'Stanza seen', text: ids, level: 'well' },
    ...timeline
      .filter(({ what }) => what === 'asked')
      .map((step) => ({ at: step.at, title: 'Business server asked', text: textOf(step), level: 'well' })),
    requestStep(event),
    ...attemptSteps(event),
    ...descendants.map((each) => ({ at: null, title: 'The response ordered', text: `${each.id} (${each.state})`, level: 'notice' })),
    state === 'waiting'
      ? { at: dueAt, title: 'Waiting', text: waitingText(event, now), level: 'notice' }
      : { at: settledAt, title: state, text: [reason, detail].filter((each) => each !== '').join(': '), level: levels[state] },
  ];
}

/** @param {Detail} event */
function requestStep({ createdAt, target, parent, timeline }) {
  const request =
    target === null ? '' : target.kind === 'http' ? `${target.method} ${target.origin ?? ''}${target.path}` : 'message to a user';
  const made = [request, parent === null ? '' : `ordered by the response to ${parent}`].filter((each) => each !== '').join(', ');
  const hasRequest = timeline.some(({ what, result }) => what === 'accepted' && result === 'request-made');
  return { at: createdAt, title: hasRequest ? 'Request made and stored' : 'Stored without a request', text: made, level: 'well' };
}

/** Attempts from the history that the spool has deleted, then those in the spool. @param {Detail} event */
function attemptSteps({ createdAt, history, timeline }) {
  const stored = new Set(history.map(({ number: nth, at }) => `${nth} ${at}`));
  const recorded = timeline.filter(({ what, attempt, at }) => what === 'attempt' && !stored.has(`${attempt} ${at}`));
  const first = Date.parse(createdAt);
  return [
    ...recorded.map((step) => ({
      at: step.at,
      title: `Attempt ${amount(step.attempt ?? 0)}`,
      text: textOf(step),
      level: step.status !== null && step.status < 300 ? 'well' : 'critical',
    })),
    ...history.map(({ number: nth, at, outcome, judgement }) => ({
      at,
      title: `Attempt ${amount(nth)}`,
      text: `${outcomeText(outcome)}${judgement === null ? '' : `, judged ${judgement.verdict}${judgement.detail === '' ? '' : `: ${judgement.detail}`}`}, ${span(Date.parse(at) - first)} after it was stored`,
      level: outcome.kind === 'answered' && outcome.status < 300 ? 'well' : 'critical',
    })),
  ];
}

/** @param {Detail['timeline'][number]} step */
function textOf({ result, status, durationMs, detail }) {
  return `${result}${status === null ? '' : ` ${status}`}${detail === '' ? '' : `: ${detail}`}${durationMs === null ? '' : ` after ${span(durationMs)}`}`;
}

/** @param {Detail} event @param {number} now */
function waitingText({ behind, dueAt, held }, now) {
  if (held) return 'it is being sent, or is sent when its pool may send';
  if (behind !== null) return `for earlier events of its conversation, first ${behind}`;
  if (dueAt === null) return 'for earlier events of its conversation';
  const ms = Date.parse(dueAt) - now;
  return ms > 0 ? `next attempt in ${span(ms)}` : 'it is due';
}
