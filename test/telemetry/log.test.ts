import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/kit/secret.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createLog, type LogOptions, subscribeLog } from '../../src/telemetry/log.ts';
import { answered, attemptEnded, deliveryId, packetId, settled, subject } from './observed.ts';

function keepLines(level: LogOptions['level'] = 'info', options = { jids: false }) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level, destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const events = createEventBus((name, error) => {
    throw new Error(`a listener of ${name} threw`, { cause: error });
  });
  subscribeLog(events, log, options);
  return { events, lines, log };
}

test('writes JSON lines with the level as a word, an RFC 3339 time and the service', () => {
  const { lines, log } = keepLines();
  log.info('hello');
  expect(lines).toEqual([
    { level: 'info', time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/), service: 'xmpp-event-pusher', msg: 'hello' },
  ]);
});

test('logs an accepted attempt as one line at debug', () => {
  const quiet = keepLines('info');
  quiet.events.emit('attempt.ended', attemptEnded());
  expect(quiet.lines).toEqual([]);

  const { events, lines } = keepLines('debug');
  events.emit('attempt.ended', attemptEnded());
  expect(lines).toMatchObject([
    { level: 'debug', event: 'attempt.ended', id: deliveryId, outcome: 'answered', status: 200, durationMs: 20 },
  ]);
});

test('warns of an ignored answer without its content', () => {
  const { events, lines } = keepLines();
  events.emit('answer.ignored', { id: deliveryId, pool: 'http_pool', handler: 'chat', reason: 'declined' });
  const msg = 'the answer reports no success: no message of it is sent';
  expect(lines).toMatchObject([{ level: 'warn', event: 'answer.ignored', id: deliveryId, handler: 'chat', reason: 'declined', msg }]);
});

test('warns of a failed attempt with the time of the next one', () => {
  const { events, lines } = keepLines();
  events.emit('attempt.ended', attemptEnded({ accepted: false, outcome: answered(503), attempt: 2, nextAt: 1_700_000_005_000 }));
  expect(lines).toMatchObject([
    {
      level: 'warn',
      id: deliveryId,
      pool: 'http_pool',
      handler: 'chat',
      host: 'localhost',
      attempt: 2,
      attemptsAllowed: 4,
      outcome: 'answered',
      status: 503,
      nextAt: '2023-11-14T22:13:25.000Z',
    },
  ]);
});

test.each<[Outcome, Record<string, unknown>]>([
  [
    { kind: 'timed-out', phase: 'body', durationMs: 7 },
    { outcome: 'timed-out', phase: 'body' },
  ],
  [
    { kind: 'unreachable', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED', durationMs: 7 },
    { outcome: 'unreachable', code: 'ECONNREFUSED', reason: 'connect ECONNREFUSED' },
  ],
  [
    { kind: 'broken', code: 'ECONNRESET', message: 'read ECONNRESET', durationMs: 7 },
    { outcome: 'broken', code: 'ECONNRESET', reason: 'read ECONNRESET' },
  ],
])('logs a failed last attempt as an error with the outcome: %j', (outcome, fields) => {
  const { events, lines } = keepLines();
  events.emit('attempt.ended', attemptEnded({ accepted: false, outcome }));
  expect(lines).toMatchObject([{ level: 'error', durationMs: 7, ...fields }]);
  expect(lines[0]).not.toHaveProperty('nextAt');
});

test.each([
  ['refused', 'delivery is dead: the backend refused it permanently'],
  ['attempts-exhausted', 'delivery is dead: its last attempt failed'],
  ['expired', 'delivery is dead: its attempt failed and it is too old for another'],
  ['internal-error', 'delivery is dead: its attempt failed'],
])('logs a failed attempt that ends its delivery as an error with the reason: %s', (died, msg) => {
  const { events, lines } = keepLines();
  events.emit('attempt.ended', attemptEnded({ accepted: false, outcome: answered(400), died }));
  expect(lines).toMatchObject([{ level: 'error', attempt: 1, attemptsAllowed: 4, died, msg }]);
});

test('never logs the body of a response', () => {
  const { events, lines } = keepLines('debug');
  const outcome: Outcome = {
    ...answered(500),
    kind: 'answered',
    status: 500,
    excerpt: 'Hi, Bob!',
    truncated: false,
    retryAfter: undefined,
  };
  events.emit('attempt.ended', attemptEnded({ outcome, accepted: false }));
  events.emit('attempt.ended', attemptEnded({ outcome }));
  expect(JSON.stringify(lines)).not.toContain('Bob');
});

test('logs questions by operationID, without texts of the server and without users', () => {
  const { events, lines } = keepLines();
  const names = { id: deliveryId, packetId, handler: 'chat', host: 'localhost' };
  events.emit('attempt.ended', attemptEnded({ purpose: 'ask', accepted: false, outcome: answered(503) }));
  events.emit('ask.ended', { ...names, result: 'allowed', reason: undefined, pushes: 1 });
  events.emit('ask.ended', { ...names, result: 'failed', reason: 'not-asked', pushes: 1 });
  events.emit('ask.ended', { ...names, result: 'failed', reason: 'bad-status', pushes: 1 });
  const server = { why: 'refused', errCode: 5001, errMsg: 'Hi, Bob!', errDlt: 'Bob said it' } as const;
  events.emit('push.withheld', {
    ...names,
    facts: undefined,
    pool: 'pool',
    seenAt: 0,
    createdAt: 0,
    sender: 'alice@localhost',
    receiver: 'bob@localhost',
    ...server,
  });
  expect(lines).toMatchObject([
    { level: 'warn', event: 'ask.ended', operationID: deliveryId, handler: 'chat', reason: 'bad-status' },
    { level: 'info', event: 'push.withheld', operationID: deliveryId, packetId, why: 'refused', errCode: 5001 },
  ]);
  expect(JSON.stringify(lines)).not.toMatch(/bob|alice/i);
});

test('logs a failed callback with its position, without the text of its error', () => {
  const { events, lines } = keepLines();
  const cause = new TypeError('cannot send Hi, Bob!\n    at his body');
  const error = new Error(`prepareBody: ${cause.message}`, { cause });
  events.emit('callback.failed', { handler: 'chat', callback: 'prepareBody', packetId, error });
  expect(lines).toMatchObject([{ level: 'error', handler: 'chat', callback: 'prepareBody', packetId, error: 'TypeError' }]);
  expect(JSON.stringify(lines)).toContain('log.test.ts');
  expect(JSON.stringify(lines)).not.toMatch(/Bob|his body/);
});

test('logs a failed exit with its position, without the text of its error, and an exit that ends a request with its code', () => {
  const { events, lines } = keepLines();
  const request = { attachment: 'front', descriptor: 'FORM', by: 'exit', text: 'HX1A' } as const;
  const error = new Error('exit: cannot read Hi, Bob!', { cause: new TypeError('cannot read Hi, Bob!') });
  events.emit('exit.failed', { ...request, error: undefined });
  events.emit('exit.failed', { ...request, text: 'HXFF', error });
  expect(lines).toMatchObject([
    { level: 'warn', msg: 'a request to descriptor FORM of attachment front was ended: HX1A' },
    { level: 'error', descriptor: 'FORM', error: 'TypeError', at: expect.arrayContaining([expect.stringContaining('log.test.ts')]) },
  ]);
  expect(JSON.stringify(lines)).not.toContain('Bob');
});

test('never logs an error text of a delivery callback, but logs its context', () => {
  const { events, lines } = keepLines();
  const outcome: Outcome = { kind: 'unsent', code: 'REQUEST_NOT_BUILT', message: 'TypeError: cannot send Hi, Bob!', durationMs: 1 };
  const judgement = { verdict: 'tempfailed', status: 597, detail: outcome.message, context: {}, awaitsDisposition: false } as const;
  events.emit('attempt.ended', attemptEnded({ outcome, accepted: false, judgement: { ...judgement, origin: 'internal' } }));
  events.emit('attempt.ended', attemptEnded({ accepted: false, judgement: { ...judgement, origin: 'module', detail: 'suppressed' } }));
  expect(lines).toMatchObject([{ code: 'REQUEST_NOT_BUILT', judgement: { status: 597 } }, { judgement: { detail: 'suppressed' } }]);
  expect(JSON.stringify(lines)).not.toContain('Bob');
});

test('logs a refused secret as one error, independent of retries', () => {
  const { events, lines } = keepLines();
  for (let attempt = 0; attempt < 5; attempt += 1) {
    events.emit('attachment.state', { attachment: 'chat', host: '', state: 'connecting', reason: '' });
    events.emit('attachment.state', { attachment: 'chat', host: '', state: 'refused', reason: 'not-authorized: check secret' });
  }
  expect(lines).toMatchObject([
    { level: 'error', attachment: 'chat', msg: 'attachment chat was refused by the chat server: not-authorized: check secret' },
  ]);
});

test('logs each change of an attachment’s state', () => {
  const { events, lines } = keepLines();
  const move = (host: string, state: 'attached' | 'offline' | 'resuming' | 'standby') =>
    events.emit('attachment.state', { attachment: 'chat', host, state, reason: '' });
  move('', 'attached');
  move('localhost', 'resuming');
  move('localhost', 'standby');
  move('localhost', 'resuming');
  move('localhost', 'standby');
  move('localhost', 'attached');
  move('', 'offline');
  move('', 'attached');
  expect(lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual([
    'info attachment chat is attached',
    'info host localhost of attachment chat is standing by',
    'info host localhost of attachment chat is attached',
    'warn attachment chat is offline',
    'info attachment chat is attached',
  ]);
});

test('logs states of several nodes separately', () => {
  const { events, lines } = keepLines();
  for (const node of ['xmpp://a:5347', 'xmpp://b:5347']) {
    events.emit('attachment.state', { attachment: 'chat', host: '', node, state: 'attached', reason: '' });
    events.emit('attachment.state', { attachment: 'chat', host: 'localhost', node, state: 'attached', reason: '' });
  }
  expect(lines.map(({ msg }) => msg)).toEqual([
    'attachment chat at xmpp://a:5347 is attached',
    'host localhost of attachment chat at xmpp://a:5347 is attached',
    'attachment chat at xmpp://b:5347 is attached',
    'host localhost of attachment chat at xmpp://b:5347 is attached',
  ]);
});

test('logs holes, skipped stanzas (once each), full disks, dead threads and notices', () => {
  const { events, lines } = keepLines();
  events.emit('tap.hole', { attachment: 'chat', host: 'localhost', missing: 3 });
  events.emit('tap.hole', { attachment: 'chat', host: 'localhost', missing: undefined });
  events.emit('tap.mark-missing', { attachment: 'chat', host: 'localhost', items: 41 });
  events.emit('tap.taken-over', { attachment: 'chat', host: 'localhost', items: 7 });
  for (let nth = 0; nth < 3; nth += 1) {
    events.emit('packet.skipped', { attachment: 'chat', reason: 'forged' });
    events.emit('packet.skipped', { attachment: 'chat', host: 'localhost', reason: 'too-large' });
    events.emit('packet.skipped', { attachment: 'chat', reason: 'duplicate' });
  }
  events.emit('spool.writable', { writable: false, reason: 'disk full' });
  events.emit('spool.writable', { writable: true, reason: '' });
  events.emit('pool.thread', { pool: 'http_pool', state: 'died', reason: 'exit 1' });
  events.emit('pool.thread', { pool: 'http_pool', state: 'started', reason: '' });
  events.emit('delivery.left-lane', { id: deliveryId, pool: 'http_pool', handler: 'chat' });
  events.emit('notice', { text: 'section [shaper] is skipped' });
  expect(lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual([
    'warn chat server lost 3 packets of localhost: its queue was full or was lost in a restart',
    'warn chat server lost its queue for localhost, as after a crash; any packets in it are lost',
    'warn the spool has no mark of 41 packets that the tap of localhost sent before: the spool is new or was lost, or another pusher received them; packets that were not delivered may be lost',
    'info another pusher received 7 packets of localhost while this one stood by',
    'warn skipped a stanza that claims to be from a tap but is not; more of these are only counted, in event_pusher_skipped_total',
    'warn skipped a stanza of localhost that exceeds max_stanza_bytes; more of these are only counted, in event_pusher_skipped_total',
    'error intake stopped: disk full',
    'info the spool is writable again',
    'error a thread of pool http_pool died and is replaced',
    'warn delivery keeps failing; later ones of its conversation overtake it',
    'info section [shaper] is skipped',
  ]);
});

test('logs that the service is ready at any level, because scripts wait for it', () => {
  const { events, lines } = keepLines('error');
  events.emit('notice', { text: 'not at this level' });
  events.emit('ready', { admin: 'http://127.0.0.1:9464' });
  expect(lines).toMatchObject([{ level: 'info', event: 'ready', admin: 'http://127.0.0.1:9464', msg: 'ready' }]);
});

test('logs the changes of a reload, or all mistakes of a refused one in one line', () => {
  const { events, lines } = keepLines();
  events.emit('config.reload', { result: 'applied', reason: 'pools added b' });
  events.emit('config.reload', { result: 'refused', reason: 'it has 2 mistakes:\n  one\n  two' });
  events.emit('config.reload', { result: 'restart', reason: 'spool' });
  expect(lines.map(({ level, event, result, msg }) => [level, event, result, msg])).toEqual([
    ['info', 'config.reload', 'applied', 'the new configuration is in use: pools added b'],
    [
      'error',
      'config.reload',
      'refused',
      'the new configuration was refused and the old one stays in use: it has 2 mistakes:\n  one\n  two',
    ],
    ['info', 'config.reload', 'restart', 'the service restarts for changes that a running service cannot apply: spool'],
  ]);
});

test('redacts secrets', () => {
  const { lines, log } = keepLines();
  log.info({ secret: new Secret('s3cret') }, 'oops');
  expect(lines).toMatchObject([{ secret: '[redacted]' }]);
});

test('writes lines of a worker thread before it ends, even if it is terminated', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'event-pusher-log-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const worker = new Worker(new URL('../fixtures/log-and-exit.mjs', import.meta.url), { workerData: { file: join(folder, 'log') } });
  await new Promise((resolve) => worker.once('exit', resolve));
  const written = await readFile(join(folder, 'log'), 'utf8');
  expect(
    written
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).msg),
  ).toEqual(['one', 'two']);
});

test('logs a rejected question once until there is a valid one', () => {
  const { events, lines } = keepLines();
  const answer = (answer: 'allowed' | 'rejected') => events.emit('gate.answered', { answer, reason: 'no token', durationMs: 1 });
  for (const kind of ['rejected', 'rejected', 'allowed', 'rejected'] as const) answer(kind);
  expect(lines).toMatchObject(Array.from({ length: 2 }, () => ({ level: 'error', event: 'gate.answered', answer: 'rejected' })));
  expect(lines[0]?.['msg']).toBe('the gate rejected a question: no token');
});

test('logs a failed gate as an error without its text', () => {
  const { events, lines } = keepLines();
  events.emit('gate.failed', { handler: 'chat', packetId, error: new Error('gate: Hi', { cause: new TypeError('Hi, Bob!') }) });
  expect(lines).toMatchObject([{ level: 'error', event: 'gate.failed', handler: 'chat', packetId, error: 'TypeError' }]);
  expect(JSON.stringify(lines)).not.toContain('Hi');
});

test('at debug, the lines of a delivery have the ids of the stanza, the packet and the delivery, and users only on request', () => {
  const lines = (level: LogOptions['level'], jids: boolean) => {
    const { events, lines: written } = keepLines(level, { jids });
    events.emit('delivery.accepted', subject);
    events.emit('attempt.ended', attemptEnded({ accepted: false, outcome: answered(503), nextAt: 1_700_000_005_000 }));
    events.emit('attempt.ended', attemptEnded());
    events.emit('delivery.settled', settled());
    events.emit('push.withheld', { ...subject, why: 'refused', errCode: 1, errMsg: '', errDlt: '', seenAt: 1, createdAt: 1 });
    return written;
  };
  const ids = { packetId, messageId: 'm1', deliveryId };
  const users = { sender: 'alice@localhost', receiver: 'bob@localhost' };
  const names = ['delivery.accepted', 'attempt.ended', 'attempt.ended', 'delivery.settled', 'push.withheld'];

  expect(lines('debug', false)).toMatchObject(names.map((event) => ({ event, ...ids })));
  expect(JSON.stringify(lines('debug', false))).not.toContain('@localhost');
  expect(lines('debug', true)).toMatchObject(names.map((event) => ({ event, ...ids, ...users })));
  expect(lines('info', true)).toMatchObject([
    { event: 'attempt.ended', ...users },
    { event: 'push.withheld', ...users },
  ]);
  expect(JSON.stringify(lines('info', false))).not.toMatch(/@localhost|deliveryId|messageId/);
});
