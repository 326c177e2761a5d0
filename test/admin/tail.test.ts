/** Following events live: what each viewer gets, and what it loses. */
import { describe, expect, test } from 'vitest';
import { Tail } from '../../src/admin/tail.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { idOf } from '../spool/build.ts';
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
    let { viewer } = tail.read(undefined, filter);
    return () => {
      const page = tail.read(viewer, filter);
      viewer = page.viewer;
      return page;
    };
  };
  const texts = (page: ReturnType<Tail['read']>) => page.lines.map(({ what, state, subject: { id } }) => `${id} ${what} ${state}`);
  return { tail, events, clock, begin, texts, subscriptions: () => subscriptions };
}

const named = (id: string) => ({ ...subject, id: idOf(id) });

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
    'a accepted waiting',
    'a attempt waiting',
    'a attempt delivered',
    'a settled delivered',
    'b withheld withheld',
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
    const { begin, clock, subscriptions } = startTail();
    const read = begin();
    expect(subscriptions()).toBe(4);
    clock.advance(31_000);
    expect(read()).toMatchObject({ begins: true, lines: [] });
    expect(subscriptions()).toBe(4);
  });

  test('costs nothing after it has gone: the first event forgets it, also one that its filter excludes', () => {
    const { events, begin, clock, subscriptions } = startTail();
    begin({ jid: 'carol@localhost' });
    clock.advance(31_000);
    events.emit('delivery.accepted', named('a'));
    expect(subscriptions()).toBe(0);
  });

  test('gives way to others beyond 16 after some seconds, and until then they are refused', () => {
    const { begin, clock } = startTail();
    const [first, second] = [begin(), begin()];
    for (let each = 2; each < 16; each += 1) begin();
    clock.advance(4_900);
    expect(() => begin()).toThrow(expect.objectContaining({ code: 'TAIL_BUSY', message: expect.stringContaining('16 viewers') }));
    expect(first().begins).toBe(false);
    clock.advance(200);
    begin();
    expect(first().begins).toBe(false);
    expect(second().begins).toBe(true);
  });

  test('does not take the place of others by changing its filter', () => {
    const { tail, begin } = startTail();
    const reads = Array.from({ length: 15 }, () => begin());
    let { viewer } = tail.read(undefined, {});
    for (const handler of ['one', 'two', 'three']) viewer = tail.read(viewer, { handler }).viewer;
    expect(reads.map((read) => read().begins)).not.toContain(true);
  });
});

describe('a response that is lost', () => {
  test('is repeated, with the steps since', () => {
    const { tail, events, texts } = startTail();
    const { viewer } = tail.read(undefined, {});
    events.emit('delivery.accepted', named('a'));
    const lost = tail.read(viewer, {});
    events.emit('delivery.accepted', named('b'));
    const page = tail.read(viewer, {});
    expect([texts(lost), texts(page)]).toEqual([['a accepted waiting'], ['a accepted waiting', 'b accepted waiting']]);
    expect(tail.read(page.viewer, {})).toMatchObject({ begins: false, lines: [], missed: 0 });
  });

  test('is counted as missed if it has been confirmed or dropped since', () => {
    const { tail, events } = startTail();
    const { viewer } = tail.read(undefined, {});
    events.emit('delivery.accepted', named('a'));
    tail.read(tail.read(viewer, {}).viewer, {});
    expect(tail.read(viewer, {})).toMatchObject({ lines: [], missed: 1 });
    for (let index = 0; index < 12_000; index += 1) events.emit('delivery.accepted', named('b'));
    expect(tail.read(viewer, {})).toMatchObject({ lines: { length: 5000 }, missed: 7001 });
  });

  test.each(['viewer-1', 'viewer-1:', 'viewer-1:1', 'viewer-1:-1', 'viewer-1:99999999999999999', 'viewer-2:0', ':0'])(
    'begins a view if the viewer is %j',
    (viewer) => {
      const { tail } = startTail();
      tail.read(undefined, {});
      expect(tail.read(viewer, {})).toMatchObject({ begins: true, lines: [], missed: 0 });
    },
  );
});

describe('what is kept for a viewer', () => {
  test('has the status of a response, and neither its body nor its excerpt', () => {
    const { events, begin } = startTail();
    const read = begin();
    const outcome = { ...answered(503, 12), excerpt: 'Hi, Bob!', body: 'Hi, Bob!', retryAfter: 'Hi, Bob!' };
    events.emit('attempt.ended', attemptEnded({ ...subject, accepted: false, outcome, reason: 'status 503' }));
    const { lines } = read();
    expect(lines).toMatchObject([{ result: 'answered', status: 503, durationMs: 12, reason: 'status 503' }]);
    expect(JSON.stringify(lines)).not.toContain('Hi, Bob!');
  });

  test('has at most 1024 characters of a reason', () => {
    const { events, begin } = startTail();
    const read = begin();
    events.emit('attempt.ended', attemptEnded({ ...subject, accepted: false, reason: 'x'.repeat(100_000) }));
    expect(read().lines[0]?.reason).toBe(`${'x'.repeat(1024)}…`);
  });

  test('loses the steps of a user who is erased, and no other steps', () => {
    const { tail, events, begin, texts } = startTail();
    const read = begin();
    events.emit('delivery.accepted', { ...named('sent'), sender: 'carol@localhost' });
    events.emit('delivery.accepted', named('other'));
    events.emit('delivery.accepted', { ...named('received'), receiver: 'carol@localhost' });
    tail.forget('carol@localhost');
    const page = read();
    expect([texts(page), page.missed]).toEqual([['other accepted waiting'], 0]);
    events.emit('delivery.accepted', named('later'));
    expect(texts(read())).toEqual(['later accepted waiting']);
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
  expect(body).toEqual({ viewer: 'viewer-1:0', begins: true, missed: 0, lines: [] });
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
