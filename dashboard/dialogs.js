/** One dialog at a time: asks, runs the action, and shows its result. The element itself keeps the focus inside and closes on Escape. */
import { html, useEffect, useRef, useState } from './view.js';
import { foreign } from './words.js';

/**
 * @typedef {object} Dialog
 * @property {string} title
 * @property {string} text
 * @property {string} confirm label of the button that runs the action
 * @property {() => Promise<any>} run
 * @property {(answer: any) => string} done the result as a sentence
 * @property {string} command the same in the command line; empty if there is no command
 * @property {string} curl
 * @property {() => Promise<string>} [count] says how many the action concerns now
 * @property {boolean} [isDangerous]
 */

/** @param {{ dialog: Dialog | undefined, close: () => void, ask: () => void }} props */
export function Dialogs({ dialog, close, ask }) {
  return dialog === undefined ? null : html`<${Opened} dialog=${dialog} close=${close} ask=${ask} />`;
}

/** @typedef {{ kind: 'asking' } | { kind: 'running' } | { kind: 'done', text: string } | { kind: 'failed', text: string }} Stage */

/** @param {{ dialog: Dialog, close: () => void, ask: () => void }} props */
function Opened({ dialog, close, ask }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [stage, setStage] = useState(/** @type {Stage} */ ({ kind: 'asking' }));
  const [count, setCount] = useState(dialog.count === undefined ? '' : 'Counting…');
  useEffect(() => {
    element.current?.showModal();
    dialog.count?.().then(setCount, (error) => setCount(`Not counted: ${error.message}`));
  }, []);

  async function run() {
    setStage({ kind: 'running' });
    try {
      setStage({ kind: 'done', text: dialog.done(await dialog.run()) });
    } catch (thrown) {
      setStage({ kind: 'failed', text: thrown instanceof Error ? thrown.message : String(thrown) });
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
      <pre tabindex="0" aria-label="curl">${dialog.curl}</pre>
    </details>
    <div class="buttons">
      ${
        !isOver &&
        html`<button type="button" class=${dialog.isDangerous ? 'danger' : 'primary'} disabled=${stage.kind === 'running'} onClick=${run}>
          ${stage.kind === 'running' ? 'Working…' : dialog.confirm}
        </button>`
      }
      <button type="button" onClick=${() => element.current?.close()}>${isOver ? 'Close' : 'Cancel'}</button>
    </div>
  </dialog>`;
}
