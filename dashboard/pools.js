/** Pools and their handlers, worst first, with what an operator can do to them. */
import { endPause, pause, pauseHandler, probe, resume, resumeHandler, sendTest } from './actions.js';
import { html, useState } from './view.js';
import { ago, amount, foreign, percent, rate, span } from './words.js';

/**
 * @typedef {import('./live.js').Status} Status
 * @typedef {import('./live.js').Pool} Pool
 * @typedef {import('./live.js').Handler} Handler
 * @typedef {((dialog: import('./dialogs.js').Dialog) => void) | undefined} Open Undefined if the caller may not change anything.
 */

/** Pools that are shown without asking. */
const shown = 25;

/** @param {{ status: Status, now: number, open: Open }} props */
export function Pools({ status, now, open }) {
  const [filter, setFilter] = useState('');
  const [isWhole, setWhole] = useState(false);
  const matching = status.pools.filter((pool) => matches(pool, filter.trim().toLowerCase()));
  const visible = isWhole ? matching : matching.slice(0, shown);
  return html`<section id="pools" aria-labelledby="pools-title" tabindex="-1">
    <div class="title">
      <h2 id="pools-title">Pools and handlers</h2>
      ${
        status.pools.length > 1 &&
        html`<input
          id="filter"
          type="search"
          placeholder="Filter"
          aria-label="Filter pools and handlers by name"
          value=${filter}
          onInput=${(/** @type {any} */ event) => setFilter(event.target.value)}
        />`
      }
    </div>
    ${status.pools.length === 0 && html`<p class="empty">No pool is configured, so nothing is sent. See <code>[outgoing_pools.http]</code>.</p>`}
    ${status.pools.length > 0 && matching.length === 0 && html`<p class="empty" role="status">No pool or handler matches.</p>`}
    ${visible.map((pool) => html`<${PoolCard} key=${pool.name} pool=${pool} now=${now} open=${open} />`)}
    ${
      visible.length < matching.length &&
      html`<button type="button" onClick=${() => setWhole(true)}>Show ${amount(matching.length - visible.length)} more pools</button>`
    }
    ${status.removedPauses.length > 0 && html`<${RemovedPauses} pauses=${status.removedPauses} open=${open} />`}
  </section>`;
}

/** Pauses that outlived what they paused. @param {{ pauses: Status['removedPauses'], open: Open }} props */
function RemovedPauses({ pauses, open }) {
  return html`<article class="card notice" aria-label="Paused, but not configured">
    <div class="empty">
      <h3><span class="badge notice">paused</span> but not configured</h3>
      <p>These were paused and then removed from the configuration. If they are configured again, they are still paused.</p>
    </div>
    <ul class="handlers">
      ${pauses.map(({ pool, handler }) => {
        const name = handler === null ? pool : `${pool}/${handler}`;
        return html`<li key=${name} aria-label=${`Paused ${foreign(name, 80)}`}>
          <div class="head">
            <h4><span class="id">${foreign(handler ?? pool, 200)}</span> <span class="state">${handler === null ? 'pool' : `handler on ${foreign(pool, 200)}`}</span></h4>
            ${
              open !== undefined &&
              html`<span class="buttons">
                <button type="button" class="quiet" onClick=${() => open(endPause(pool, handler))}>End the pause<span class="hidden"> of ${name}</span></button>
              </span>`
            }
          </div>
        </li>`;
      })}
    </ul>
  </article>`;
}

/** @param {Pool} pool @param {string} text */
function matches({ name, origin, handlers }, text) {
  return [name, origin, ...handlers.map((handler) => handler.name)].some((each) => each.toLowerCase().includes(text));
}

/** @param {{ pool: Pool, now: number, open: Open }} props */
function PoolCard({ pool, now, open }) {
  const { name, origin, workers, inFlight, waiting, dead, oldestAt, drainMs } = pool;
  const state = poolState(pool);
  return html`<article class=${`card ${state.level}`} aria-label=${`Pool ${foreign(name, 80)}`}>
    <div class="head">
      <h3><span class=${`badge ${state.level}`}>${state.text}</span> <span class="id">${foreign(name, 200)}</span></h3>
      <span class="origin">${origin === '' ? 'to the address in each event' : foreign(origin, 200)}</span>
      ${open !== undefined && html`<${PoolButtons} pool=${pool} open=${open} />`}
    </div>
    <dl class="stats">
      <${Stat} name="Waiting" value=${amount(waiting)} />
      <${Stat} name="Oldest" value=${oldestAt === null ? '–' : span(now - Date.parse(oldestAt))} />
      <${Stat} name="Empty in" value=${drainText(drainMs, oldestAt)} />
      <${Stat} name="Busy workers" value=${`${inFlight} of ${workers}`} />
      <${Stat} name="Dead" value=${amount(dead)} />
    </dl>
    <ul class="handlers">
      ${pool.handlers.map((handler) => html`<${HandlerRow} key=${handler.name} handler=${handler} pool=${pool} now=${now} open=${open} />`)}
    </ul>
    ${pool.handlers.length === 0 && html`<p class="empty">No handler sends to this pool.</p>`}
  </article>`;
}

/** @param {{ pool: Pool, open: NonNullable<Open> }} props */
function PoolButtons({ pool: { name, breaker, paused }, open }) {
  return html`<span class="buttons">
      ${breaker === 'open' && !paused && html`<button type="button" onClick=${() => open(probe(name))}>Probe<span class="hidden"> ${name}</span></button>`}
      ${
        paused
          ? html`<button type="button" onClick=${() => open(resume(name))}>Resume<span class="hidden"> ${name}</span></button>`
          : html`<button type="button" onClick=${() => open(pause(name))}>Pause<span class="hidden"> ${name}</span></button>`
      }
    </span>`;
}

/** @param {{ handler: Handler, pool: Pool, now: number, open: Open }} props */
function HandlerRow({ handler, pool, now, open }) {
  const { name, waiting, successRate, recentAttempts, lastError, acceptedPerSecond, settledPerSecond, dead } = handler;
  const state = handlerState(handler, pool, now);
  return html`<li aria-label=${`Handler ${foreign(name, 80)}`}>
    <div class="head">
      <h4><span class=${`dot ${state.level}`} aria-hidden="true"></span> <span class="id">${foreign(name, 200)}</span> <span class="state">${state.text}</span></h4>
      ${open !== undefined && html`<${HandlerButtons} handler=${handler} pool=${pool.name} open=${open} />`}
    </div>
    <dl class="stats">
      <${Stat} name="Success, 5 min" value=${successRate === null ? '–' : percent(successRate)} note=${successRate === null ? 'no attempts' : `of ${amount(recentAttempts)}`} isBad=${successRate !== null && successRate < 0.95} />
      <${Stat} name="In / out per s" value=${`${rate(acceptedPerSecond)} / ${rate(settledPerSecond)}`} />
      <${Stat} name="Waiting" value=${amount(waiting)} />
      <${Stat} name="Dead" value=${amount(dead)} />
    </dl>
    ${
      lastError !== null &&
      html`<p class="error">
        <span class="dim">last error ${ago(lastError.at, now)}${handler.consecutiveFailures === 0 ? ', accepted since' : `, ${amount(handler.consecutiveFailures)} in a row`}:</span>${' '}<code>${foreign(lastError.text)}</code>
      </p>`
    }
  </li>`;
}

/** @param {{ handler: Handler, pool: string, open: NonNullable<Open> }} props */
function HandlerButtons({ handler: { name, paused }, pool, open }) {
  const dialog = paused ? resumeHandler : pauseHandler;
  return html`<span class="buttons">
      ${
        !name.endsWith(':ask') &&
        html`<button type="button" class="quiet" onClick=${() => open(sendTest(name))}>Send a test<span class="hidden"> through ${name}</span></button>`
      }
      <button type="button" class="quiet" onClick=${() => open(dialog(pool, name))}>
        ${paused ? 'Resume' : 'Pause'}<span class="hidden"> handler ${name} on ${pool}</span>
      </button>
    </span>`;
}

/** @param {{ name: string, value: string, note?: string, isBad?: boolean }} props */
function Stat({ name, value, note = '', isBad = false }) {
  return html`<div>
    <dt>${name}</dt>
    <dd class=${isBad ? 'bad' : ''}>${value}${note !== '' && html`<span class="dim"> ${note}</span>`}</dd>
  </div>`;
}

/** @param {Pool} pool */
function poolState({ paused, breaker, trouble, handlers }) {
  if (paused) return { level: 'warning', text: 'paused' };
  if (breaker === 'open') return { level: 'critical', text: 'breaker open' };
  if (breaker === 'half-open') return { level: 'critical', text: 'probing' };
  if (breaker === 'slow-start') return { level: 'notice', text: 'recovering' };
  if (trouble === 'critical') return { level: 'critical', text: 'failing' };
  if (handlers.some(({ paused }) => paused)) return { level: 'warning', text: 'partly paused' };
  if (handlers.some(({ pausedUntil }) => pausedUntil !== null)) return { level: 'warning', text: 'asked to wait' };
  return trouble === 'warning' ? { level: 'warning', text: 'in trouble' } : { level: 'well', text: 'sending' };
}

/** @param {Handler} handler @param {Pool} pool @param {number} now */
function handlerState({ paused, pausedUntil, breaker, consecutiveFailures, probeInMs }, pool, now) {
  if (paused) return { level: 'warning', text: pool.paused ? 'paused, and its pool is paused' : 'paused' };
  if (pool.paused) return { level: 'warning', text: 'its pool is paused' };
  if (pausedUntil !== null) return { level: 'warning', text: `its backend asked to wait, ${span(Date.parse(pausedUntil) - now)} left` };
  if (breaker === 'open') return { level: 'critical', text: `breaker open, next probe in ${span(probeInMs ?? 0)}` };
  if (breaker === 'half-open') return { level: 'critical', text: 'probing' };
  if (pool.breaker === 'open' || pool.breaker === 'half-open') return { level: 'critical', text: 'held by the breaker of the pool' };
  if (breaker === 'slow-start' || pool.breaker === 'slow-start') return { level: 'notice', text: 'recovering' };
  return consecutiveFailures > 0 ? { level: 'critical', text: 'failing' } : { level: 'well', text: 'sending' };
}

/** What is only on its way needs no forecast. @param {number | null} drainMs @param {string | null} oldestAt */
function drainText(drainMs, oldestAt) {
  if (oldestAt === null) return '–';
  return drainMs === null ? 'not at this rate' : span(drainMs);
}
