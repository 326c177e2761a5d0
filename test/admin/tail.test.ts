/** Following events live: what each viewer gets, and what it loses. */
import { describe, expect, test } from 'vitest';
import { Tail } from '../../src/admin/tail.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { answered, attemptEnded, settled, subject } from '../telemetry/observed.ts';
import { startApi } from './api/ask-api.ts';

function startTail() {
  const clock = createFakeClock(1_700_000_000_000);
  const events = createEventBus((name, error) => {
    throw new Error(`${name}: ${error.message}`);
  });
  let subscriptions = 0;
  const on: typeof events.on = (name, listener) => {
    const off = events.on(name, listener);
    subscriptions += 1;
    return () => {
      subscriptions -= 1;
      off();
    };
  };
  let ids = 0;
  const tail = new Tail({ events: { on }, clock, newId: () => `viewer-${++ids}` });
  const begin = (filter: Parameters<Tail['read']>[1] = {}) => {
    const { viewer } = tail.read(undefined, filter);
    return () => tail.read(viewer, filter);
  };
  const texts = (page: ReturnType<Tail['read']>) => page.lines.map(({ what, state, subject: { id } }) => `${id} ${what} ${state}`);
  return { tail, events, clock, begin, texts, subscriptions: () => subscriptions };
}

const named = (id: string) => ({ ...subject, id: id as typeof subject.id });

test('a viewer gets each step once, in order', () => {
  const { events, begin, texts } = startTail();
  const read = begin();
  events.emit('delivery.accepted', named('a'));
  events.emit('attempt.ended', attemptEnded({ ...named('a'), accepted: false, outcome: answered(503), nextAt: 1, reason: 'status 503' }));
  events.emit('delivery.settled', settled({ ...named('a'), disposition: 'retry' }));
  events.emit('attempt.ended', attemptEnded({ ...named('a'), attempt: 2 }));
  events.emit('delivery.settled', settled(named('a')));
  events.emit('push.withheld', { ...named('b'), why: 'refused', errCode: 1, errMsg: '', errDlt: '', seenAt: 1, createdAt: 1 });
  expect(texts(read())).toEqual([
    ...['a accepted waiting', 'a attempt waiting', 'a attempt delivered', 'a settled delivered', 'b withheld withheld'],
  ]);
  expect(read()).toMatchObject({ lines: [], missed: 0, begins: false });
});

test.each([
  [{ handler: 'log' }, ['handler']],
  [{ pool: 'other' }, ['pool']],
  [{ host: 'example.org' }, ['host']],
  [{ jid: 'carol@localhost' }, ['sender', 'receiver']],
  [{ jid: 'carol@localhost', handler: 'log' }, []],
  [{ states: ['dead' as const] }, ['dead']],
])('the filter %j selects %j', (filter, expected) => {
  const { events, begin } = startTail();
  const read = begin(filter);
  events.emit('delivery.accepted', { ...named('handler'), handler: 'log' });
  events.emit('delivery.accepted', { ...named('pool'), pool: 'other' });
  events.emit('delivery.accepted', { ...named('host'), host: 'example.org' });
  events.emit('delivery.accepted', { ...named('sender'), sender: 'carol@localhost' });
  events.emit('delivery.accepted', { ...named('receiver'), receiver: 'carol@localhost' });
  events.emit('delivery.settled', settled({ ...named('dead'), disposition: 'dead', reason: 'expired' }));
  expect(read().lines.map((line) => line.subject.id)).toEqual(expected);
});

describe('a viewer that is too slow', () => {
  test('loses the oldest lines and learns their number, and others lose none', () => {
    const { events, begin } = startTail();
    const [slow, quick] = [begin(), begin()];
    const ids: string[] = [];
    for (let index = 0; index < 23_000; index += 1) {
      events.emit('delivery.accepted', named(`d${index}`));
      if (index % 1000 === 999) ids.push(...quick().lines.map((line) => line.subject.id));
    }
    const page = slow();
    expect(page.lines.length + page.missed).toBe(23_000);
    expect(page.lines).toHaveLength(5000);
    expect(page.lines.at(-1)?.subject.id).toBe('d22999');
    expect(ids).toHaveLength(23_000);
  });

  test('is forgotten after 30 s, and begins again', () => {
    const { events, begin, clock, subscriptions } = startTail();
    const read = begin();
    expect(subscriptions()).toBe(4);
    clock.advance(31_000);
    events.emit('delivery.accepted', named('a'));
    expect(read()).toMatchObject({ begins: true, lines: [] });
    expect(subscriptions()).toBe(4);
  });

  test('costs nothing after it has gone, even if no other viewer comes', () => {
    const { events, begin, clock, subscriptions } = startTail();
    begin();
    clock.advance(31_000);
    for (let index = 0; index < 10_000; index += 1) events.emit('delivery.accepted', named('a'));
    expect(subscriptions()).toBe(0);
  });

  test('gives way to others beyond 16', () => {
    const { begin, clock } = startTail();
    const [first, second] = [begin(), begin()];
    clock.advance(1);
    first();
    for (let each = 0; each < 15; each += 1) begin();
    expect(first().begins).toBe(false);
    expect(second().begins).toBe(true);
  });
});

test('another filter begins another view', () => {
  const { tail } = startTail();
  const { viewer } = tail.read(undefined, {});
  expect(tail.read(viewer, { handler: 'log' })).toMatchObject({ begins: true });
});

test('the API shows users and texts of callbacks only to callers that may see content', async () => {
  const api = await startApi({ token: 'secret' });
  const withToken = { authorization: 'Bearer secret' };
  const { body } = await api.get('/tail');
  const { body: owner } = await api.get('/tail?jid=Bob@localhost/phone', withToken);
  expect(body).toEqual({ viewer: 'viewer-1', begins: true, missed: 0, lines: [] });
  const outcome = { kind: 'unsent', code: 'CALLBACK', message: 'quoted', durationMs: 2 } as const;
  api.events.emit('attempt.ended', attemptEnded({ ...subject, accepted: false, outcome, reason: 'quoted', died: 'refused' }));
  const shared = {
    what: 'attempt',
    messageId: 'm1',
    stanzaId: 's1',
    kind: 'message',
    state: 'dead',
    attempt: 1,
    result: 'unsent',
    status: null,
  };
  expect((await api.get(`/tail?viewer=${body.viewer}`)).body.lines).toMatchObject([
    { ...shared, sender: null, receiver: null, reason: '[hidden]' },
  ]);
  expect((await api.get(`/tail?viewer=${owner.viewer}&jid=Bob@localhost/phone`, withToken)).body.lines).toMatchObject([
    { ...shared, sender: 'alice@localhost', receiver: 'bob@localhost', reason: 'quoted' },
  ]);
  expect(await api.get('/tail?jid=bob@localhost')).toMatchObject({ status: 403, body: { code: 'CONTENT_HIDDEN' } });
  expect((await api.get('/tail?state=lost')).body.message).toContain('waiting, delivered, dead, withheld, dropped');
});
