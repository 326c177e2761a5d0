/** The page: what is wrong, what flows, pools, attachments, dead letters, and the disk. */
import { signOut } from './api.js';
import { Attachments } from './attachments.js';
import { DeadLetters } from './dead-letters.js';
import { Dialogs } from './dialogs.js';
import { Events } from './events.js';
import { Flow } from './flow.js';
import { Live } from './live.js';
import { Pools } from './pools.js';
import { Service } from './service.js';
import { SignIn } from './sign-in.js';
import { applyTheme, nextTheme } from './theme.js';
import { Verdict } from './verdict.js';
import { html, render, useEffect, useRef, useState } from './view.js';
import { clock, foreign, span } from './words.js';

/** @typedef {import('./live.js').View} View */

function App() {
  const [view, setView] = useState(/** @type {View} */ ({ phase: 'loading', status: undefined, receivedAt: 0, trouble: '' }));
  const live = useRef(/** @type {Live | undefined} */ (undefined));
  const [isSigningIn, setSigningIn] = useState(false);
  useEffect(() => {
    live.current = new Live(setView);
    live.current.ask();
  }, []);
  const ask = () => live.current?.ask();

  if (view.phase === 'signed-out' || isSigningIn) {
    const onDone = () => {
      setSigningIn(false);
      setView({ phase: 'loading', status: undefined, receivedAt: 0, trouble: '' });
      ask();
    };
    return html`<${SignIn} onDone=${onDone} onCancel=${view.phase === 'signed-out' ? undefined : () => setSigningIn(false)} />`;
  }
  if (view.phase === 'refused') return html`<main class="center"><h1>event-pusher</h1><p role="alert">${view.trouble}</p></main>`;
  if (view.status === undefined) return html`<${Waiting} trouble=${view.trouble} />`;
  return html`<${Board} view=${view} points=${live.current?.points} ask=${ask} onSignIn=${() => setSigningIn(true)} />`;
}

/** @param {{ trouble: string }} props */
function Waiting({ trouble }) {
  return html`<main class="center">
    <h1>event-pusher</h1>
    <p role=${trouble === '' ? 'status' : 'alert'}>${trouble === '' ? 'Loading…' : `${foreign(trouble)}. Trying again.`}</p>
    <p class="skeleton" aria-hidden="true"></p>
  </main>`;
}

/** @param {{ view: View, points: import('./live.js').Points, ask: () => void, onSignIn: () => void }} props */
function Board({ view, points, ask, onSignIn }) {
  const status = /** @type {import('./live.js').Status} */ (view.status);
  const now = Date.parse(status.at);
  const isStale = view.phase === 'stale';
  const [dialog, setDialog] = useState(/** @type {import('./dialogs.js').Dialog | undefined} */ (undefined));
  const open = status.caller.operate ? setDialog : undefined;
  /** @param {import('./dialogs.js').Dialog} closed */
  const close = (closed) => setDialog((shown) => (shown === closed ? undefined : shown));
  useShortcuts();
  return html`
    <a class="skip" href="#pools">Skip to pools</a>
    <${Header} view=${view} onSignIn=${onSignIn} ask=${ask} />
    ${isStale && html`<${Stale} view=${view} />`}
    <main class=${isStale ? 'stale' : ''}>
      <${Verdict} status=${status} now=${now} open=${open} isStale=${isStale} />
      <${Flow} status=${status} points=${points} now=${now} />
      <${Pools} status=${status} now=${now} open=${open} />
      <${Attachments} status=${status} now=${now} />
      <${Events} now=${now} open=${open} mayErase=${status.caller.content} />
      <${DeadLetters} status=${status} now=${now} open=${open} isStale=${isStale} />
      <${Service} status=${status} now=${now} />
    </main>
    <${Dialogs} dialog=${dialog} close=${close} ask=${ask} />
  `;
}

/** @param {{ view: View, onSignIn: () => void, ask: () => void }} props */
function Header({ view, onSignIn, ask }) {
  const status = /** @type {import('./live.js').Status} */ (view.status);
  const [theme, setTheme] = useState(applyTheme);
  const { content, signedIn } = status.caller;
  const leave = () => signOut().then(ask, ask);
  return html`<header>
    <h1><img src="dashboard/icon.svg" alt="" width="22" height="22" /> event-pusher</h1>
    <${Age} view=${view} />
    <span class="spacer"></span>
    <button type="button" class="quiet" onClick=${() => setTheme(nextTheme())} aria-label=${`Colours: ${theme}. Change`}>◐ ${theme}</button>
    ${status.caller.name !== '' && html`<span class="dim">${status.caller.name}${status.caller.operate ? '' : ', read only'}</span>`}
    ${status.caller.signedIn && html`<button type="button" class="quiet" onClick=${leave}>Sign out</button>`}
    ${!content && !signedIn && html`<button type="button" class="quiet" onClick=${onSignIn}>Sign in for content</button>`}
  </header>`;
}

/** Age of the data, counted here, so that it also grows while no answer comes. @param {{ view: View }} props */
function Age({ view }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const age = Math.max(0, now - view.receivedAt);
  return html`<span class=${`age ${view.phase}`}>${view.phase === 'live' && age < 3000 ? 'live' : `data is ${span(age)} old`}</span>`;
}

/** @param {{ view: View }} props */
function Stale({ view }) {
  const since = clock(new Date(view.receivedAt).toISOString());
  return html`<div class="banner" role="alert">
    <strong>No answer since ${since}.</strong> ${foreign(view.trouble)}. Below is the last known state; this page tries again by itself.
  </div>`;
}

/** `/` goes to the search for events. */
function useShortcuts() {
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    const onKey = (event) => {
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      const search = document.getElementById('search');
      if (search === null) return;
      event.preventDefault();
      search.focus();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}

const page = document.getElementById('page');
if (page !== null) {
  page.replaceChildren();
  render(html`<${App} />`, page);
}
