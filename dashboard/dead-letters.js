/** Dead letters, grouped by handler and error, with a counted replay. */
import { deadLetterGroups, deadLetters } from './actions.js';
import { html, useEffect, useState } from './view.js';
import { ago, amount, foreign, number } from './words.js';

/** @typedef {import('./live.js').Status} Status */

/** Time for which the service gives the same answer again. */
const cachedMs = 1000;

/**
 * @param {{ status: Status, now: number, open: ((dialog: import('./dialogs.js').Dialog) => void) | undefined, isStale: boolean }} props
 */
export function DeadLetters({ status, now, open, isStale }) {
  const total = status.pools.reduce((sum, { dead }) => sum + dead, 0);
  const { found, problem, load } = useGroups({ status, total, isStale });
  const groups = found?.groups ?? [];
  return html`<section id="dead-letters" aria-labelledby="dead-title" tabindex="-1">
    <h2 id="dead-title">Dead letters ${total > 0 && html`<span class="count">${amount(total)}</span>`}</h2>
    ${problem !== '' && !isStale && html`<p class="problem" role="alert">${foreign(problem)} <button type="button" onClick=${load}>Try again</button></p>`}
    ${found === undefined && problem === '' && html`<p class="empty">Loading…</p>`}
    ${found !== undefined && groups.length === 0 && html`<p class="empty">None: every event was delivered or is waiting.</p>`}
    <ul class="rows">
      ${groups.map(
        (group) => html`<li key=${JSON.stringify(group.filter)}>
          <div class="head">
            <h3><span class="count">${amount(group.count)}</span> <span class="id">${foreign(group.handler, 200)}</span> <span class="dim">on ${foreign(group.pool, 80)}</span></h3>
            ${
              open !== undefined &&
              html`<span class="buttons">
              <button type="button" onClick=${() => open(deadLetters(group, 'replay'))}>Replay ${amount(group.count)}<span class="hidden"> of ${group.handler}</span></button>
              <button type="button" class="quiet" onClick=${() => open(deadLetters(group, 'purge'))}>Delete<span class="hidden"> those of ${group.handler}</span></button>
            </span>`
            }
          </div>
          <p class="error"><span class="dim">${group.reason}:</span> <code>${foreign(group.detail === '' ? 'no further detail' : group.detail)}</code></p>
          <p class="facts"><span>newest ${ago(group.newestAt, now)}</span><span>oldest ${ago(group.oldestAt, now)}</span></p>
        </li>`,
      )}
    </ul>
    ${found !== undefined && found.seen < found.total && html`<p class="dim">Grouped from the newest ${number(found.seen, 'dead letter')} of ${amount(found.total)}.</p>`}
  </section>`;
}

/**
 * Loads the groups again when the number of dead letters changes. While the page is stale, its banner reports the failure for all parts.
 * @param {{ status: Status, total: number, isStale: boolean }} page
 */
function useGroups({ status, total, isStale }) {
  const [found, setFound] = useState(/** @type {{ groups: any[], total: number, seen: number } | undefined} */ (undefined));
  const [problem, setProblem] = useState('');
  const load = () =>
    deadLetterGroups().then(
      (answer) => {
        setFound(answer);
        setProblem('');
      },
      (error) => setProblem(error.message),
    );
  useEffect(() => {
    if (isStale) return setProblem('');
    void load();
    const timer = setTimeout(() => void load(), cachedMs); // the first answer may be older than the last change
    return () => clearTimeout(timer);
  }, [total, isStale]);
  useEffect(() => {
    if (problem !== '') void load(); // the service answers again
  }, [status]);
  return { found, problem, load };
}
