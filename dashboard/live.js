/** The data of the page: asks for the status once per second, keeps the flow of the last hour, and knows how old its data is. */
import { get, Refused } from './api.js';

/**
 * @typedef {import('zod').output<typeof import('../src/admin/api/status-shapes.ts').statusShape>} Status
 * @typedef {Status['pools'][number]} Pool
 * @typedef {Pool['handlers'][number]} Handler
 * @typedef {Status['verdict']['lines'][number]} Line
 * @typedef {Status['flow']['recent']} Points
 *
 * @typedef {object} View What the page shows.
 * @property {'live' | 'loading' | 'refused' | 'signed-out' | 'stale'} phase
 * @property {Status | undefined} status the last answer
 * @property {number} receivedAt time of the last answer, on the clock of this browser
 * @property {string} trouble why there is no newer answer
 */

/** @type {(keyof Points)[]} */
const keys = ['accepted', 'delivered', 'dead', 'failed', 'waiting', 'tapFill'];

const everyMs = 1000;
const hiddenEveryMs = 30_000;
const slowestMs = 5000;

/** Points kept: one hour. */
const most = 3600;

export class Live {
  /** @type {View} */
  view = { phase: 'loading', status: undefined, receivedAt: 0, trouble: '' };
  /** @type {Points} */
  points = { accepted: [], delivered: [], dead: [], failed: [], waiting: [], tapFill: [] };
  /** Number of the newest point. */
  #newest = 0;
  #startedAt = '';
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isAsking = false;
  /** @type {(view: View) => void} */
  #onChange;

  /** @param {(view: View) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener('visibilitychange', () => this.ask());
  }

  /** Asks now, and from then on regularly. */
  async ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    clearTimeout(this.#timer);
    const began = Date.now();
    try {
      await this.#receive(await get('/status'));
    } catch (thrown) {
      this.#failed(thrown);
    }
    this.#isAsking = false;
    if (this.view.phase !== 'signed-out') this.#timer = setTimeout(() => this.ask(), Math.max(100, this.#pauseMs() - (Date.now() - began)));
  }

  #pauseMs() {
    if (document.hidden) return hiddenEveryMs;
    return Math.min(slowestMs, everyMs * 2 ** Math.max(0, this.#failures - 1));
  }

  /** @param {Status} status */
  async #receive(status) {
    await this.#follow(status);
    this.#failures = 0;
    this.#show({ phase: 'live', status, receivedAt: Date.now(), trouble: '' });
  }

  /** Appends the new points; after a gap or a restart of the service it asks for the whole hour. @param {Status} status */
  async #follow({ startedAt, flow }) {
    const missing = flow.newest - this.#newest;
    const isSame = startedAt === this.#startedAt;
    if (isSame && missing >= 0 && missing <= flow.recent.accepted.length) {
      for (const key of keys) if (missing > 0) this.points[key] = [...this.points[key], ...flow.recent[key].slice(-missing)].slice(-most);
      this.#newest = flow.newest;
      return;
    }
    const hour = await get('/status/flow');
    this.points = hour.points;
    this.#newest = hour.newest;
    this.#startedAt = startedAt;
  }

  /** @param {unknown} thrown */
  #failed(thrown) {
    const { code, status, message } = thrown instanceof Refused ? thrown : new Refused('BROKEN', String(thrown), 0);
    this.#failures += 1;
    if (status === 401) return this.#show({ phase: 'signed-out', status: undefined, receivedAt: 0, trouble: '' });
    const isRefusal = code === 'UNKNOWN_HOST';
    this.#show({ ...this.view, phase: isRefusal ? 'refused' : 'stale', trouble: message });
  }

  /** @param {View} view */
  #show(view) {
    this.view = view;
    this.#onChange(view);
  }
}
