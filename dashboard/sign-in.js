import { signIn } from './api.js';
import { html, useEffect, useRef, useState } from './view.js';
import { foreign } from './words.js';

/** Asks for the token. The browser keeps a cookie in its place, which no script can read. @param {{ onDone: () => void, onCancel?: () => void }} props */
export function SignIn({ onDone, onCancel }) {
  const [problem, setProblem] = useState('');
  const [isBusy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setProblem('');
    try {
      await signIn(field.current?.value ?? '');
      onDone();
    } catch (thrown) {
      setProblem(thrown instanceof Error ? thrown.message : String(thrown));
      setBusy(false);
      field.current?.select();
    }
  }

  return html`<main class="center">
    <form onSubmit=${submit}>
      <h1><img src="dashboard/icon.svg" alt="" width="28" height="28" /> event-pusher</h1>
      <label for="token">Token of this service</label>
      <input id="token" type="password" autocomplete="current-password" required ref=${field} aria-describedby="token-hint" aria-invalid=${problem !== ''} />
      <p id="token-hint" class="hint">It is in <code>[admin] token</code> of the configuration.</p>
      ${problem !== '' && html`<p class="problem" role="alert">${foreign(problem)}</p>`}
      <div class="buttons">
        <button type="submit" class="primary" disabled=${isBusy}>Sign in</button>
        ${onCancel && html`<button type="button" onClick=${onCancel}>Cancel</button>`}
      </div>
    </form>
  </main>`;
}
