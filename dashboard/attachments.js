/** Attachments by host and node: where events come from. */
import { html } from './view.js';
import { ago, amount, bytes, foreign, percent, span } from './words.js';

/**
 * @typedef {import('./live.js').Status} Status
 * @typedef {Status['hosts'][number]} Host
 */

/** @param {{ status: Status, now: number }} props */
export function Attachments({ status, now }) {
  const { hosts } = status;
  return html`<section aria-labelledby="attachments-title">
    <h2 id="attachments-title">Attachments</h2>
    ${hosts.length === 0 && html`<p class="empty">No host is attached, so no event arrives. See <code>[attach]</code>.</p>`}
    <ul class="rows">
      ${hosts.map((host) => html`<${HostRow} key=${`${host.attachment} ${host.node} ${host.host}`} host=${host} now=${now} />`)}
    </ul>
  </section>`;
}

const levels = {
  attached: 'well',
  connecting: 'warning',
  offline: 'critical',
  refused: 'critical',
  resuming: 'warning',
  standby: 'notice',
};

/** @param {{ host: Host, now: number }} props */
function HostRow({ host: { attachment, host, node, state, reason, since, lastPacketAt, tap, lost }, now }) {
  return html`<li>
    <h3><span class=${`badge ${levels[state]}`}>${state}</span> <span class="id">${foreign(host, 200)}</span></h3>
    <p class="facts">
      <span>by ${foreign(attachment, 80)}${node !== '' && html` at <span class="id">${foreign(node, 200)}</span>`}</span>
      <span>for ${span(now - Date.parse(since))}</span>
      <span>${lastPacketAt === null ? 'no event since the start' : `last event ${ago(lastPacketAt, now)}`}</span>
      ${tap !== null && html`<span>tap queue ${percent(tap.ratio)} full (${amount(tap.items)} events, ${bytes(tap.bytes)})</span>`}
      ${lost !== null && html`<span class="bad">lost ${lost.missing === null ? 'a queue of unknown size' : `${amount(lost.missing)} events`} ${ago(lost.at, now)}</span>`}
    </p>
    ${reason !== '' && state !== 'attached' && html`<p class="error"><code>${foreign(reason)}</code></p>`}
  </li>`;
}
