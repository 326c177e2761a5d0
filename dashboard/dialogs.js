/** One dialog at a time: asks, runs the action, and shows its result. The element itself keeps the focus inside and closes on Escape. */
import { html, useEffect, useRef, useState } from './view.js';
import { foreign } from './words.js';

/**
 * @typedef {object} Dialog
 * @property {string} title
 * @property {string} text
 * @property {string} confirm label of the button that runs the action
 * @property {(watch: Watch) => Promise<any>} run
 * @property {(answer: any) => string} done the result as a sentence; throws if the action must be repeated
 * @property {string} command the same in the command line; empty if there is no command
 * @property {string} curl the same as one request; empty if it may need several
 * @property {(watch: Watch) => Promise<string>} [count] says how many the action concerns now
 * @property {boolean} [isDangerous] it cannot be undone; it can be confirmed only after the count, if there is one
 *
 * @typedef {object} Watch
 * @property {AbortSignal} signal aborted when the dialog is closed
 * @property {(text: string) => void} progress shows how far a long count or action is
 */

/**
 * The browser reports a closed dialog a moment later, when the next one may be open: only the one that was closed is removed.
 * @param {{ dialog: Dialog | undefined, close: (closed: Dialog) => void, ask: () => void }} props
 */
export function Dialogs({ dialog, close, ask }) {
  return dialog === undefined ? null : html`<${Opened} key=${dialog} dialog=${dialog} close=${() => close(dialog)} ask=${ask} />`;
}

/** @typedef {{ kind: 'asking' } | { kind: 'counting' } | { kind: 'running' } | { kind: 'done', text: string } | { kind: 'failed', text: string }} Stage */

/** @param {{ dialog: Dialog, close: () => void, ask: () => void }} props */
function Opened({ dialog, close, ask }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const mustCount = dialog.isDangerous === true && dialog.count !== undefined;
  const [stage, setStage] = useState(/** @type {Stage} */ ({ kind: mustCount ? 'counting' : 'asking' }));
  const [count, setCount] = useState(dialog.count === undefined ? '' : 'Counting…');
  const closed = useRef(new AbortController());
  const watch = { signal: closed.current.signal, progress: setCount };
  useEffect(() => {
    element.current?.showModal();
    void countFirst();
    return () => closed.current.abort();
  }, []);

  async function countFirst() {
    if (dialog.count === undefined) return;
    try {
      setCount(await dialog.count(watch));
      if (mustCount) setStage({ kind: 'asking' });
    } catch (thrown) {
      const text = `Not counted: ${messageOf(thrown)}`;
      if (mustCount) setStage({ kind: 'failed', text });
      else setCount(text);
    }
  }

  async function run() {
    setStage({ kind: 'running' });
    try {
      setStage({ kind: 'done', text: dialog.done(await dialog.run(watch)) });
    } catch (thrown) {
      setStage({ kind: 'failed', text: messageOf(thrown) });
    }
    ask();
  }

  const isOver = stage.kind === 'done' || stage.kind === 'failed';
  return html`<dialog ref=${element} onClose=${close} aria-labelledby="dialog-title" aria-describedby="dialog-text">
    <h2 id="dialog-title">${dialog.title}</h2>
    <p id="dialog-text">${dialog.text}</p>
    ${count !== '' && !isOver && html`<p class="count" role="status">${count}</p>`}
    ${stage.kind === 'done' && html`<p class="result" role="status">${foreign(stage.text, 2000)}</p>`}
    ${stage.kind === 'failed' && html`<p class="problem" role="alert">${foreign(stage.text, 2000)}</p>`}
    <details>
      <summary>The same in a terminal</summary>
      ${dialog.command !== '' && html`<pre tabindex="0" aria-label="Command">${dialog.command}</pre>`}
      ${dialog.curl !== '' && html`<pre tabindex="0" aria-label="curl">${dialog.curl}</pre>`}
    </details>
    <div class="buttons">
      ${
        !isOver &&
        html`<button type="button" class=${dialog.isDangerous ? 'danger' : 'primary'} disabled=${stage.kind !== 'asking'} onClick=${run}>
          ${stage.kind === 'running' ? 'Working…' : dialog.confirm}
        </button>`
      }
      <button type="button" onClick=${() => element.current?.close()}>${isOver ? 'Close' : 'Cancel'}</button>
    </div>
  </dialog>`;
}

/** @param {unknown} thrown */
function messageOf(thrown) {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
