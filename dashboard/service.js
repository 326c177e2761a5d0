/** The disk, the last reload, and the version. */
import { html } from './view.js';
import { ago, amount, bytes, clock, foreign, percent, span } from './words.js';

/** @param {{ status: import('./live.js').Status, now: number }} props */
export function Service({ status, now }) {
  const { spool, history, reload, version, startedAt, orphaned } = status;
  return html`<section aria-labelledby="service-title">
    <h2 id="service-title">Service</h2>
    <dl class="stats wide">
      <div>
        <dt>Spool</dt>
        <dd class=${spool.writable ? '' : 'bad'}>
          ${sizeOf(spool)}${spool.writable ? '' : `, intake is stopped: ${foreign(spool.reason)}`}
        </dd>
      </div>
      <div>
        <dt>Full in</dt>
        <dd>${spool.fullInMs === null ? 'not growing' : span(spool.fullInMs)}</dd>
      </div>
      ${
        history !== null &&
        html`<div>
          <dt>History</dt>
          <dd>${history.since === null ? 'no settled event yet' : `the last ${span(now - Date.parse(history.since))}, ${bytes(history.bytes)}`}</dd>
        </div>`
      }
      <div>
        <dt>Last reload</dt>
        <dd class=${reload?.result === 'refused' ? 'bad' : ''}>${reload === null ? 'none since the start' : `${reload.result} ${ago(reload.at, now)}`}</dd>
      </div>
      <div>
        <dt>Version</dt>
        <dd>${version}</dd>
      </div>
      <div>
        <dt>Running since</dt>
        <dd>${clock(startedAt)} (${span(now - Date.parse(startedAt))})</dd>
      </div>
      ${
        orphaned > 0 &&
        html`<div>
          <dt>Without a handler</dt>
          <dd class="bad">${amount(orphaned)} events: <code>event-pusher orphans list</code></dd>
        </div>`
      }
    </dl>
    ${reload?.result === 'refused' && html`<p class="error"><code>${foreign(reload.reason, 2000)}</code></p>`}
  </section>`;
}

/** @param {import('./live.js').Status['spool']} spool */
function sizeOf(spool) {
  if (spool.maxBytes === 0) return bytes(spool.bytes); // the engine has no limit
  return `${bytes(spool.bytes)} of ${bytes(spool.maxBytes)} (${percent(spool.bytes / spool.maxBytes)})`;
}
