/** The dashboard of the built service in a browser, with a scripted chat server and a real backend. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { type PushRigOptions, startPushRig } from '../support/push-rig.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { type Answer, freePort, startTarget } from '../support/target.ts';

const hasBrowser = await requirePackage('chromium');

const browserTest = test.skipIf(!hasBrowser);

let browser: TestBrowser;

beforeAll(async () => {
  if (hasBrowser) browser = await startBrowser();
});

afterEach(async () => {
  if (hasBrowser) await browser.closePages();
});

afterAll(async () => {
  if (hasBrowser) await browser[Symbol.asyncDispose]();
});

const handlers = ['push', 'audit']
  .map((name) => `[[modules.mod_event_pusher.backend.http]]\nname = "${name}"\npath = "/${name}"\n`)
  .join('');

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

interface Watched extends PushRigOptions {
  /** Listens off loopback, with this token and that of a reader. */
  readonly token?: string;
}

async function startWatched({ token, ...options }: Watched = {}) {
  const chat = await startScriptedChat();
  const port = await freePort();
  const listen =
    token === undefined
      ? `127.0.0.1:${port}`
      : `0.0.0.0:${port}"\ntokens = [{ name = "night", content = true, hash = "${hashOf('moon-over-the-night-shift')}" }]\ntoken = "${token}`;
  const rig = await startPushRig(chat.server.port, { handlers, loglevel: 'info', ...options, listen });
  const address = `http://127.0.0.1:${port}/`;
  return {
    chat,
    rig,
    address,
    page: await browser.open(address),
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      await chat[Symbol.asyncDispose]();
    },
  };
}

/** Waits until the verdict contains this text. */
async function verdictSays(page: Page, text: RegExp | string): Promise<void> {
  await page.getByRole('region', { name: 'Verdict' }).getByText(text).first().waitFor();
}

/** Waits until the page shows this alert and no other. */
async function onlyAlertSays(page: Page, text: RegExp): Promise<void> {
  await eventually(async () => expect(await page.getByRole('alert').allInnerTexts()).toEqual([expect.stringMatching(text)]));
}

async function confirm(page: Page, button: string, result: RegExp | string): Promise<void> {
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: button }).click();
  await dialog.getByText(result).waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await dialog.waitFor({ state: 'detached' });
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Findings of axe. It is evaluated by the debugger, so the page's policy for scripts does not apply to it. */
async function findingsOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })');
  const { violations } = found as { violations: readonly { id: string; nodes: readonly { html: string; failureSummary: string }[] }[] };
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}

browserTest('shows that all is well, then names a failing backend in its first line, and recovers', async () => {
  let status = 200;
  const pool = 'retry.schedule = ["1s", "1s", "1s", "1s", "1s", "1s"]';
  await using watched = await startWatched({ pool, script: (): Answer => ({ kind: 'answer', status, body: 'maintenance' }) });
  const { chat, rig, page } = watched;
  chat.say('hello');
  await rig.settled(2);
  await verdictSays(page, /^All well, .*nothing waiting/);

  status = 503;
  chat.say('hello again');
  await verdictSays(page, /http_pool: (2 handlers fail|the last)/);
  const first = page.getByRole('region', { name: 'Verdict' }).getByRole('listitem').first();
  await eventually(async () => expect(await first.innerText()).toMatch(/http_pool.*for \d.*last error.*status 503.*waiting/s));

  status = 200;
  await rig.settled(4);
  await page.getByRole('article', { name: 'Pool http_pool' }).getByText('accepted since').first().waitFor();
});

browserTest('pauses and resumes a pool, sends a test, and replays and deletes dead letters in groups', async () => {
  let status = 422;
  await using watched = await startWatched({ script: (): Answer => ({ kind: 'answer', status, body: 'no such user' }) });
  const { chat, rig, page } = watched;
  chat.say('hello');
  await verdictSays(page, /push on http_pool: 1 dead letter/);
  const groups = page.getByRole('region', { name: /^Dead letters/ });
  await groups.getByText('status 422').first().waitFor();

  await groups.getByRole('button', { name: 'Delete those of audit' }).click();
  await page.getByRole('dialog').getByText('1 dead letter match now').waitFor();
  expect(await page.getByRole('dialog').innerText()).toContain('Delete 1 dead letter of audit?');
  expect(await page.getByRole('dialog').textContent()).not.toContain('event-pusher dead-letters'); // it would select by less than the button
  await confirm(page, 'Delete permanently', '1 dead letter deleted');
  status = 200;
  await groups.getByRole('button', { name: 'Replay 1 of push' }).click();
  await confirm(page, 'Replay', '1 dead letter replayed.');
  await rig.settled(1);
  await groups.getByText('None: every event was delivered').waitFor();

  const card = page.getByRole('article', { name: 'Pool http_pool' });
  await card.getByRole('button', { name: 'Pause http_pool' }).click();
  await page.getByRole('dialog').getByText('The same in a terminal').click();
  expect(await page.getByRole('dialog').innerText()).toContain('event-pusher pools pause http_pool');
  await confirm(page, 'Pause', 'http_pool is paused.');
  chat.say('later');
  await verdictSays(page, /http_pool: paused/);
  await page.getByRole('region', { name: 'Verdict' }).getByRole('button', { name: 'Resume http_pool' }).click();
  await confirm(page, 'Resume', 'http_pool is sending again.');
  await rig.settled(3);

  await card.getByRole('button', { name: 'Pause handler push on http_pool' }).click();
  expect(await page.getByRole('dialog').textContent()).toContain('event-pusher pools pause http_pool/push');
  await confirm(page, 'Pause', 'push is paused.');
  chat.say('last');
  await verdictSays(page, /push on http_pool: paused/);
  await page.getByRole('region', { name: 'Verdict' }).getByRole('button', { name: 'Resume push' }).click();
  await confirm(page, 'Resume', 'push is resumed.');
  await rig.settled(5);

  await card.getByRole('button', { name: 'Send a test through push' }).click();
  await confirm(page, 'Send a test', /Accepted\. POST .*status 200/);
  expect(rig.backend.requests.at(-1)?.header('event-pusher-test')).toBe('1');
});

browserTest('shows pauses of pools and handlers that were removed, and ends each', async () => {
  await using watched = await startWatched();
  const { rig, page } = watched;
  await rig.pusher.stop();
  const db = new Database(join(rig.pusher.folder, 'spool.sqlite'));
  const longName = `old-${'pool-'.repeat(30)}<b>`;
  for (const name of ['http_pool/gone', longName]) db.prepare('INSERT INTO paused VALUES (?)').run(name);
  db.close();
  await rig.pusher.start();
  await page.reload();

  const pauses = page.getByRole('article', { name: 'Paused, but not configured' });
  await pauses.getByText('handler on http_pool').waitFor();
  expect(await pauses.getByRole('listitem').count()).toBe(2);
  for (const width of [375, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await pauses.scrollIntoViewIfNeeded();
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect(await findingsOf(page)).toEqual([]);
  }

  await pauses.getByRole('button', { name: 'End the pause of http_pool/gone' }).click();
  await page.getByRole('dialog').getByText('The same in a terminal').click();
  expect(await page.getByRole('dialog').innerText()).toContain('event-pusher pools resume http_pool/gone');
  await confirm(page, 'End the pause', 'The pause of gone has ended.');
  await pauses.getByText('handler on http_pool').waitFor({ state: 'detached' });
  await pauses.getByRole('button', { name: 'End the pause of old-' }).click();
  await confirm(page, 'End the pause', /^The pause of old-.* has ended/);
  await pauses.waitFor({ state: 'detached' });
});

browserTest('finds an event by user and by id, shows its timeline, and sends or drops it', async () => {
  let status = 503;
  await using watched = await startWatched({
    handlers: '[modules.mod_event_pusher.backend.http]\npath = "/push"',
    pool: 'retry.schedule = ["1h", "1h"]',
    script: (): Answer => ({ kind: 'answer', status, body: 'maintenance' }),
  });
  const { chat, rig, page } = watched;
  chat.say('first', 'alice');
  await rig.postponed(1);
  await page.getByRole('searchbox', { name: /JID/ }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('alice@localhost');
  await page.keyboard.press('Enter');
  const search = page.getByRole('region', { name: 'Find an event' });
  await search.getByText('1 event, the newest first.').waitFor();
  await search.getByRole('button', { name: /^Timeline/ }).click();
  await search.getByText('Stanza seen').waitFor();
  expect(await search.getByRole('list').last().innerText()).toMatch(
    /Request made and stored.*POST .*\/push.*Attempt 1.*status 503.*maintenance.*Waiting.*next attempt in/s,
  );
  expect(await findingsOf(page)).toEqual([]);

  status = 200;
  const id = rig.backend.requests[0]?.header('webhook-id') ?? '';
  await search.getByRole('searchbox').fill(id);
  await page.keyboard.press('Enter');
  await search.getByRole('button', { name: `Send now ${id}` }).click();
  await confirm(page, 'Send now', 'Done.');
  await rig.settled(1);

  status = 503;
  chat.say('second', 'carol');
  await rig.postponed(2);
  await search.getByRole('searchbox').fill('carol@localhost');
  await page.keyboard.press('Enter');
  await search.getByRole('button', { name: /^Drop/ }).click();
  await confirm(page, 'Drop permanently', 'Done.');
  await search.getByRole('searchbox').fill('unknown@localhost');
  await page.keyboard.press('Enter');
  await search.getByText('No such event waits').waitFor();
});

browserTest('erases what is stored about a user after a count, with the keyboard alone', async () => {
  let status = 422;
  await using watched = await startWatched({
    handlers: '[modules.mod_event_pusher.backend.http]\npath = "/push"',
    pool: 'retry.schedule = ["1h", "1h"]',
    script: (): Answer => ({ kind: 'answer', status, body: 'maintenance' }),
  });
  const { chat, rig, page } = watched;
  chat.say('first', 'alice');
  await verdictSays(page, /1 dead letter/);
  status = 503;
  chat.say('second', 'alice');
  chat.say('third', 'carol');
  await rig.postponed(2);
  await page.keyboard.press('/');
  await page.keyboard.type('alice@localhost/phone');
  await page.keyboard.press('Enter');
  const search = page.getByRole('region', { name: 'Find an event' });
  const button = search.getByRole('button', { name: "Erase this user's data… alice@localhost" });
  await button.waitFor();
  await page.setViewportSize({ width: 375, height: 800 });
  expect(await findingsOf(page)).toEqual([]);
  await button.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Erase everything about alice@localhost?' });
  await dialog.getByText(/1 waiting event, 1 dead letter, 0 records of the history found/).waitFor();
  expect(await dialog.textContent()).toContain('event-pusher erase --jid alice@localhost --yes');
  expect(await findingsOf(page)).toEqual([]);
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(375);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await page.keyboard.press('Enter'); // the focus is on the button again
  await dialog.getByText(/found/).waitFor();
  // One task closes the dialog and opens the next, before the browser reports the close.
  await page.evaluate("document.querySelector('dialog').close(); document.activeElement.click()");
  await dialog.getByText(/found/).waitFor();
  await dialog.getByRole('button', { name: 'Erase permanently' }).press('Enter');
  await dialog.getByText('1 waiting event, 1 dead letter, 0 records of the history erased.').waitFor();
  expect(await findingsOf(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await search.getByText('No such event waits').waitFor();
  await search.getByRole('searchbox').fill('carol@localhost');
  await page.keyboard.press('Enter');
  await search.getByText('1 event, the newest first.').waitFor();
});

browserTest('an erasure in several calls shows its progress, and says what it could not erase', async () => {
  await using watched = await startWatched();
  const { page } = watched;
  const counts = {
    waiting: 2,
    deadLetters: 0,
    records: 0,
    withheld: 1,
    held: 0,
    file: null,
    next: null,
    before: '2026-11-29T08:00:00.000Z',
  };
  const calls: { readonly dryRun?: boolean; readonly cursor?: string; readonly before?: string }[] = [];
  const arrived: (() => void)[] = [];
  await page.route('**/api/v1/erase', async (route) => {
    const call = route.request().postDataJSON();
    calls.push(call);
    if (call.dryRun) return await route.fulfill({ json: { ...counts, withheld: 0, held: 3 } });
    if (call.cursor === undefined) return await route.fulfill({ json: { ...counts, next: 'pending.7' } });
    await new Promise<void>((resolve) => arrived.push(resolve));
    await route.fulfill({ json: { ...counts, waiting: 3, withheld: 0, held: 1, file: 'failed' } });
  });
  await page.getByRole('searchbox').fill('alice@localhost');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /^Erase this user/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('3 events may be on the way to a backend').waitFor();
  await dialog.getByRole('button', { name: 'Erase permanently' }).click();
  await dialog.getByText('2 waiting events, 0 dead letters, 0 records of the history, 1 withheld push so far…').waitFor();
  await eventually(() => arrived.length === 1);
  arrived[0]?.();
  const alert = dialog.getByRole('alert');
  await alert
    .getByText(/^5 waiting events, .*1 withheld push erased\. Not complete: 1 event .*erase again.*could not be rewritten/)
    .waitFor();
  expect(calls).toEqual([
    { jid: 'alice@localhost', dryRun: true },
    { jid: 'alice@localhost', before: counts.before },
    { jid: 'alice@localhost', before: counts.before, cursor: 'pending.7' },
  ]);
  expect(await findingsOf(page)).toEqual([]);
});

browserTest('finds an event by an id of its stanza that looks like a JID, or is longer than a webhook-id', async () => {
  await using watched = await startWatched({
    handlers: '[modules.mod_event_pusher.backend.http]\npath = "/push"',
    pool: 'retry.schedule = ["1h", "1h"]',
    script: (): Answer => ({ kind: 'answer', status: 503, body: '' }),
  });
  const { chat, rig, page } = watched;
  const search = page.getByRole('region', { name: 'Find an event' });
  for (const [index, id] of ['7f3a@localhost/phone', 'x'.repeat(9000)].entries()) {
    chat.say('hello', `user${index}`, id);
    await rig.postponed(index + 1);
    await search.getByRole('searchbox').fill(id);
    await page.keyboard.press('Enter');
    await search.getByText(`from user${index}@localhost`).waitFor();
    await search.getByText('1 event, the newest first.').waitFor();
  }
  await page.setViewportSize({ width: 375, height: 800 });
  await search.getByRole('button', { name: /^Timeline/ }).click();
  await search.getByText('Stanza seen').waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(375);
});

browserTest('probes a backend whose breaker is open, on request', async () => {
  await using watched = await startWatched({
    pool: 'retry.schedule = ["1s", "1h"]\n[outgoing_pools.http.http_pool.circuit_breaker]\nmin_attempts = 2\nopen = "1h"\nmax_open = "1h"',
    handlers: '[modules.mod_event_pusher.backend.http]\npath = "/push"',
  });
  const { chat, rig, page } = watched;
  chat.say('first');
  await rig.settled(1);
  const port = Number(new URL(rig.backend.origin).port);
  await rig.backend.stop();
  for (let each = 0; each < 5; each += 1) chat.say('hello', `user${each}`);
  await verdictSays(page, 'http_pool: breaker open');
  await verdictSays(page, /next probe in/);
  await verdictSays(page, /ECONNREFUSED/);
  await using backend = await startTarget({ port });
  await page.getByRole('region', { name: 'Verdict' }).getByRole('button', { name: 'Probe now' }).click();
  await confirm(page, 'Probe now', 'A probe of http_pool is on its way.');
  await backend.received(1);
});

browserTest('keeps the last state while the service is down, and goes on by itself after its restart', async () => {
  await using watched = await startWatched();
  const { rig, page } = watched;
  await verdictSays(page, /^All well/);
  const groups = '**/api/v1/dead-letters/groups*';
  await page.route(groups, (route) => route.abort());
  await page.reload();
  await onlyAlertSays(page, /^the service does not answer Try again/);
  await rig.pusher.kill();
  await onlyAlertSays(page, /^No answer since .*the service does not answer/);
  await page.unroute(groups);
  await page.getByText(/^data is .* old$/).waitFor();
  await verdictSays(page, /^All well/);
  await rig.pusher.start();
  await page.getByText('live', { exact: true }).waitFor();
  await page.getByRole('alert').waitFor({ state: 'detached' });
});

describe('off loopback', () => {
  browserTest('asks for the token, keeps it out of reach of scripts, and survives a restart', async () => {
    await using watched = await startWatched({ token: 'correct-horse-battery' });
    const { rig, page } = watched;
    await page.getByLabel('Token of this service').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('this is not the token').waitFor();
    await page.getByLabel('Token of this service').fill('correct-horse-battery');
    await page.keyboard.press('Enter');
    await verdictSays(page, /^All well/);
    expect(
      await page.evaluate('document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href'),
    ).not.toMatch(/correct-horse|event_pusher_/);

    await rig.pusher.kill();
    await onlyAlertSays(page, /^No answer since/);
    await rig.pusher.start();
    await page.getByText('live', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Pause http_pool' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token of this service').fill('moon-over-the-night-shift');
    await page.keyboard.press('Enter');
    await page.getByText('night, read only').waitFor();
    await page.getByRole('searchbox').fill('alice@localhost');
    await page.keyboard.press('Enter');
    await page.getByText('No such event waits').waitFor();
    expect(await page.getByRole('button', { name: /Pause|Send a test|Replay|Delete|Erase/ }).count()).toBe(0);
  });
});

browserTest('shows hostile text as text', async () => {
  const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>\u{202e}evil ${'x'.repeat(3000)}`;
  const name = `p${'-long'.repeat(30)}`;
  const module = `export const prepareBody = () => { throw new Error(${JSON.stringify(hostile)}); };\n`;
  await using watched = await startWatched({
    handlers: `[[modules.mod_event_pusher.backend.http]]\nname = "${name}"\npath = "/push"\ncallback_module = "own"\n`,
    files: { 'own.mjs': module },
  });
  const { chat, page } = watched;
  chat.say('hello');
  const groups = page.getByRole('region', { name: /^Dead letters/ });
  await groups.getByText('<img src=x onerror=').waitFor();
  expect(await page.title()).toBe('event-pusher');
  expect(await page.locator('img[src=x], script:not([src])').count()).toBe(0);
  expect(await groups.innerText()).not.toContain('\u{202e}');
  for (const width of [375, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    expect(await page.evaluate('document.documentElement.scrollWidth'), `at ${width} px`).toBeLessThanOrEqual(width);
  }
});

browserTest('works with the keyboard alone', async () => {
  await using watched = await startWatched();
  const { page } = watched;
  await verdictSays(page, /^All well/);
  const focused = () => page.evaluate("document.activeElement?.textContent?.replace(/\\s+/g, ' ').trim() ?? ''");
  async function tabTo(text: string): Promise<void> {
    for (let step = 0; step < 40; step += 1) {
      await page.keyboard.press('Tab');
      if ((await focused()) === text) return;
    }
    throw new Error(`no Tab leads to ${text}`);
  }
  await page.keyboard.press('Tab');
  expect(await focused()).toBe('Skip to pools');
  await page.keyboard.press('Enter');
  await tabTo('Pause http_pool');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await eventually(async () => expect(await focused()).toBe('Pause http_pool'));
  await page.keyboard.press('Enter');
  await tabTo('Pause');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText('http_pool is paused.').waitFor();
});

browserTest.each(['light', 'dark'] as const)('has no finding of axe in %s colours, on a phone and on a desktop', async (colorScheme) => {
  await using watched = await startWatched({ script: (): Answer => ({ kind: 'answer', status: 422, body: 'no such user' }) });
  const { chat, address } = watched;
  const page = await browser.open(address, { colorScheme });
  chat.say('hello');
  await page
    .getByRole('region', { name: /^Dead letters/ })
    .getByText('status 422')
    .first()
    .waitFor();
  for (const width of [375, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    expect(await findingsOf(page)).toEqual([]);
  }
  await page.getByRole('button', { name: 'Pause http_pool' }).click();
  await page.getByRole('dialog').waitFor();
  expect(await findingsOf(page)).toEqual([]);
});

browserTest('no page has reported an error or a violation of its policy', () => {
  expect(browser.complaints).toEqual([]);
});
