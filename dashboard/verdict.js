/** The first lines: what is wrong, worst first, each with the one thing to do about it. */
import { probe, resume, resumeHandler, sendTest } from './actions.js';
import { html, useEffect, useRef, useState } from './view.js';
import { ago, amount, foreign, span } from './words.js';

/**
 * @typedef {import('./live.js').Line} Line
 * @typedef {import('./live.js').Status} Status
 * @typedef {((dialog: import('./dialogs.js').Dialog) => void) | undefined} Open Undefined if the caller may not change anything.
 */

const marks = { critical: '✕', warning: '!', notice: 'i', well: '✓' };

/** @param {{ status: Status, now: number, open: Open, isStale: boolean }} props */
export function Verdict({ status, now, open, isStale }) {
  const { verdict } = status;
  const isWell = verdict.level === 'well' || verdict.level === 'notice';
  return html`<section class=${`verdict ${verdict.level}`} aria-labelledby="verdict-title">
    <h2 id="verdict-title" class="hidden">Verdict</h2>
    ${
      isWell &&
      html`<p class="line well"><span class="mark" aria-hidden="true">${marks.well}</span><span class="what">${verdict.headline}</span></p>`
    }
    <ul>${verdict.lines.map((line) => html`<${LineItem} key=${keyOf(line)} line=${line} now=${now} open=${open} />`)}</ul>
    ${verdict.more > 0 && html`<p class="more">and ${amount(verdict.more)} more below</p>`}
    <${Announcement} verdict=${verdict} isStale=${isStale} />
  </section>`;
}

/** @param {Line} line */
function keyOf({ subject, action, level }) {
  return [subject.kind, subject.pool, subject.handler, subject.attachment, action, level].join(' ');
}

/** @param {{ line: Line, now: number, open: Open }} props */
function LineItem({ line, now, open }) {
  const { level, what, since, error, waiting, oldestAt, loss, next } = line;
  return html`<li class=${`line ${level}`}>
    <span class="mark" role="img" aria-label=${level}>${marks[level]}</span>
    <div class="said">
      <p class="what">${foreign(what)}${since !== null && html`<span class="since"> for ${span(now - Date.parse(since))}</span>`}</p>
      <p class="facts">
        ${error !== null && html`<span>last error ${ago(error.at, now)}: <code>${foreign(error.text)}</code></span>`}
        ${waiting > 0 && html`<span><strong>${amount(waiting)}</strong> waiting</span>`}
        ${waiting > 0 && oldestAt !== null && html`<span>oldest ${span(now - Date.parse(oldestAt))}</span>`}
        ${loss !== null && html`<span>${loss.text}</span>`}
        ${next !== '' && html`<span>${next}</span>`}
      </p>
    </div>
    <${LineAction} line=${line} open=${open} />
  </li>`;
}

/** @param {{ line: Line, open: Open }} props */
function LineAction({ line: { action, subject }, open }) {
  const { pool = '', handler = '' } = subject;
  if (action === 'dead-letters') return html`<a class="button" href="#dead-letters">Dead letters</a>`;
  if (open === undefined) return null;
  switch (action) {
    case 'probe':
      return html`<button type="button" class="primary" onClick=${() => open(probe(pool))}>Probe now</button>`;
    case 'resume':
      return html`<button type="button" class="primary" onClick=${() => open(handler === '' ? resume(pool) : resumeHandler(pool, handler))}>Resume ${foreign(handler === '' ? pool : handler, 40)}</button>`;
    case 'send-test':
      return html`<button type="button" class="primary" onClick=${() => open(sendTest(handler))}>Send a test</button>`;
    default:
      return null;
  }
}

/** Tells screen readers that the verdict has changed, without its times, which change every second. @param {{ verdict: Status['verdict'], isStale: boolean }} props */
function Announcement({ verdict, isStale }) {
  const text = isStale
    ? ''
    : verdict.lines.length === 0
      ? 'All well'
      : verdict.lines.map(({ level, what }) => `${level}: ${what}`).join('. ');
  const stable = text.replace(/\d+/g, '#');
  const last = useRef('');
  const [said, setSaid] = useState('');
  useEffect(() => {
    if (last.current === stable) return;
    last.current = stable;
    setSaid(text);
  }, [stable]);
  return html`<p class="hidden" role="status">${foreign(said)}</p>`;
}
