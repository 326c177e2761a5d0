/** The built command line, which follows events over the API of a listener. */
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { main } from '../support/run-cli.ts';
import { startChild } from '../support/start-child.ts';
import { answered, attemptEnded, settled, subject } from '../telemetry/observed.ts';
import { inUtc, startOperated } from './operate.ts';

/** Runs `tail` until the test ends; the functions return what it has printed. */
function startTailing(...args: readonly string[]) {
  const child = startChild(process.execPath, [main, 'tail', ...args], process.env);
  onTestFinished(() => void child.kill());
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  return { child, lines: () => stdout.split('\n').slice(0, -1), notes: () => stderr };
}

test('tail prints the steps of the selected events, as text and as JSON, and retries while no service answers', async () => {
  inUtc();
  const { config, events, clock, admin } = await startOperated();
  const text = startTailing('--config', config, '--handler', 'chat');
  const json = startTailing('--config', config, '--json', '--state', 'dead,delivered');
  await eventually(() => text.notes().includes('waiting for events') && json.notes().includes('waiting for events'));
  const failed = { accepted: false, outcome: answered(503, 12), nextAt: clock.now() + 5, reason: 'status 503\n\u001b[2J' };
  events.emit('delivery.accepted', { ...subject, handler: 'log' });
  events.emit('delivery.accepted', subject);
  events.emit('attempt.ended', attemptEnded({ ...subject, ...failed }));
  events.emit('delivery.settled', settled({ ...subject, disposition: 'dead', reason: 'expired' }));
  await eventually(() => text.lines().length === 3 && json.lines().length === 1);
  const rest = `chat on http_pool at localhost  ${subject.id}  alice@localhost to bob@localhost`;
  expect(text.lines()).toEqual([
    `2023-11-14 22:13:20  accepted  ${rest}`,
    `2023-11-14 22:13:20  attempt 1 answered 503, 12 ms, waiting: status 503 \u{fffd}[2J  ${rest}`,
    `2023-11-14 22:13:20  dead: expired  ${rest}`,
  ]);
  expect(JSON.parse(json.lines()[0] ?? '')).toMatchObject({
    id: subject.id,
    what: 'settled',
    state: 'dead',
    reason: 'expired',
    messageId: 'm1',
  });
  await admin.stop();
  await eventually(() => text.notes().includes('no service answers') && json.notes().includes('retrying'));
});

test.each([[], ['--json']])('tail ends quietly when its reader has ended %j', async (...args) => {
  const { config, events } = await startOperated();
  const { child, notes } = startTailing('--config', config, ...args);
  const ended = once(child, 'exit');
  await eventually(() => notes().includes('waiting for events'));
  child.stdout.destroy();
  events.emit('delivery.accepted', subject);
  expect(await ended).toEqual([0, null]);
  expect(notes()).toBe('-- waiting for events\n');
});

test('tail ends if no service answers at its start, or if the request is wrong', async () => {
  const { operate } = await startOperated();
  expect(await operate('tail', '--state', 'lost')).toMatchObject({ code: 2, stderr: expect.stringContaining('waiting, delivered') });
  expect(await operate('tail', '--url', 'http://127.0.0.1:1')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no service answers'),
  });
});
