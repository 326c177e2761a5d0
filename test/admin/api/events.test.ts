import { expect, test } from 'vitest';
import type { PacketFacts } from '../../../src/model/packet.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeSettlement } from '../../spool/build.ts';
import { appendTo, settleIn } from '../../support/spool-promises.ts';
import { type ApiAnswer, startApi } from './ask-api.ts';

const at = (ms: number) => new Date(acceptedAt + ms).toISOString();
const facts = JSON.stringify(['message', 'm1', 's1']) as PacketFacts;

/** Two waiting events, two dead ones and a withheld one. */
async function startEvents(admission: Parameters<typeof startApi>[0] = {}) {
  const api = await startApi(admission);
  await appendTo(
    api.spool,
    makeEntry([makeDelivery({ id: 'w1', facts }), makeDelivery({ id: 'w2', handler: 'log', createdAt: acceptedAt + 500 })]),
  );
  await api.die({ id: 'd1', sender: 'carol@localhost' });
  await api.die({ id: 'd2' }, { status: 410 });
  api.clock.advance(1000);
  const { packetId, host, sender, receiver } = makeDelivery({ id: 'h1' });
  api.events.emit('push.withheld', {
    ...{ id: makeDelivery({ id: 'h1' }).id, packetId, facts, handler: 'push', pool: 'ask', host, sender, receiver },
    ...{ seenAt: acceptedAt, createdAt: acceptedAt, why: 'refused', errCode: 1, errMsg: '', errDlt: '' },
  });
  return api;
}

const idsOf = ({ body }: ApiAnswer): string => body.events.map(({ id }: { readonly id: string }) => id).join();

test('events of all states are listed, the newest last, with their ids and states', async () => {
  const { get } = await startEvents();
  const { status, body } = await get('/events');
  expect([status, body.next]).toEqual([200, null]);
  const shared = { host: 'localhost', handler: 'push', pool: 'pool', sender: 'alice@localhost', receiver: 'bob@localhost' };
  const unknown = { messageId: null, stanzaId: null, kind: null };
  const known = { messageId: 'm1', stanzaId: 's1', kind: 'message' };
  const waiting = { state: 'waiting', status: null, attempts: 0, settledAt: null, reason: '', held: false };
  const dead = { state: 'dead', attempts: 1, createdAt: at(0), reason: 'refused', dueAt: null, held: false };
  expect(body.events).toEqual([
    { id: 'w1', packetId: 'packet-of-w1', ...known, ...shared, ...waiting, createdAt: at(0), dueAt: at(0) },
    { id: 'w2', packetId: 'packet-of-w2', ...unknown, ...shared, handler: 'log', ...waiting, createdAt: at(500), dueAt: at(500) },
    { id: 'd1', packetId: 'packet-of-d1', ...unknown, ...shared, sender: 'carol@localhost', ...dead, status: 400, settledAt: at(1000) },
    { id: 'd2', packetId: 'packet-of-d2', ...unknown, ...shared, ...dead, status: 410, settledAt: at(2000) },
    {
      ...{ id: 'h1', packetId: 'packet-of-h1', ...known, ...shared, pool: 'ask', state: 'withheld', status: null, attempts: 1 },
      ...{ createdAt: at(0), settledAt: at(3000), reason: 'refused', dueAt: null, held: false },
    },
  ]);
});

test('pages continue with a cursor, in both orders', async () => {
  const { get } = await startEvents();
  const walk = async (query: string) => {
    const pages: string[] = [];
    let cursor = '';
    do {
      const page = await get(`/events?limit=2&${query}${cursor}`);
      pages.push(idsOf(page));
      cursor = page.body.next === null ? '' : `&cursor=${page.body.next}`;
    } while (cursor !== '');
    return pages.filter((page) => page !== '');
  };
  expect(await walk('order=oldest')).toEqual(['w1,w2', 'd1,d2', 'h1']);
  expect(await walk('order=newest')).toEqual(['d2,h1', 'w2,d1', 'w1']);
  expect(await walk('state=dead&state=waiting')).toEqual(['d1,d2', 'w1,w2']);
});

test('events are found by each key', async () => {
  const { get } = await startEvents();
  const found = async (query: string) => idsOf(await get(`/events?${query}`));
  expect(await found('jid=Carol@localhost/phone')).toBe('d1');
  expect(await found('stanzaId=m1')).toBe('w1,h1');
  expect(await found('stanzaId=s1&state=waiting')).toBe('w1');
  expect(await found('id=w2&id=d2')).toBe('w2,d2');
  expect(await found('handler=log')).toBe('w2');
  expect(await found('pool=ask')).toBe('h1');
  expect(await found('status=410')).toBe('d2');
  expect(await found(`since=${at(2000)}`)).toBe('d2,h1');
  expect(await found(`before=${at(500)}`)).toBe('w1');
  expect(await found('state=delivered')).toBe('');
});

test('mistakes are named', async () => {
  const { get, post } = await startEvents();
  expect(await get('/events?cursor=abc')).toMatchObject({ status: 400, body: { code: 'BAD_CURSOR' } });
  for (const cursor of ['{"pending":"x"}', '{"pending":[0,1.5]}', '{"dead":[1e300,1]}']) {
    expect(await get(`/events?cursor=${Buffer.from(cursor).toString('base64url')}`)).toMatchObject({ body: { code: 'BAD_CURSOR' } });
  }
  expect((await get('/events?state=lost')).body.message).toContain('waiting, delivered, dead, withheld, dropped');
  expect(await get('/events?handler=pus')).toMatchObject({ status: 404, body: { code: 'UNKNOWN_HANDLER' } });
  expect(await get('/events/unknown')).toMatchObject({ status: 404, body: { code: 'UNKNOWN_EVENT' } });
  expect((await post('/events/drop', {})).body.message).toContain('"all": true');
  expect((await post('/events/drop', { all: true, ids: ['w1'] })).status).toBe(400);
});

test('callers that may not see content get no JIDs and cannot search by them', async () => {
  const { get } = await startEvents({ token: 'a-long-token' });
  const { body } = await get('/events?limit=1');
  expect(body.events).toMatchObject([{ sender: null, receiver: null }]);
  expect(await get('/events?jid=bob@localhost')).toMatchObject({ status: 403, body: { code: 'CONTENT_HIDDEN' } });
  expect(idsOf(await get('/events?jid=carol@localhost', { authorization: 'Bearer a-long-token' }))).toBe('d1');
});

test('an event is shown with its request and attempts, and its body on request', async () => {
  const { get, spool } = await startEvents();
  const [claimed] = await appendTo(spool, makeEntry([makeDelivery({ id: 'r1', facts })], { take: true }));
  const retry = { kind: 'retry', notBefore: acceptedAt + 60_000, leaveLane: false, context: {} } as const;
  await settleIn(spool, makeSettlement(claimed?.seq ?? 0, retry, { attempt: answered(1, 503) }));
  expect((await get('/events/r1')).body).toMatchObject({
    ...{ id: 'r1', state: 'waiting', status: 503, attempts: 1, dueAt: at(60_000), seenAt: at(-5), parent: null, descendants: [] },
    target: { kind: 'http', method: 'POST', path: '/notifications' },
    history: [{ number: 1, outcome: { kind: 'answered', status: 503 } }],
    bodyBytes: 10,
  });
  expect((await get('/events/r1')).body.body).toBeUndefined();
  expect((await get('/events/r1?content=true')).body.body).toEqual({ encoding: 'text', data: 'body of r1' });
  expect((await get('/events/d2')).body).toMatchObject({ state: 'dead', detail: 'status 410', history: [{ number: 1 }] });
  expect((await get('/events/h1')).body).toMatchObject({ state: 'withheld', target: null, history: [] });
});

test('a retry makes waiting events due, replays dead ones, and says what it left', async () => {
  const { post, get, spool, woken, notices } = await startEvents();
  const [claimed] = await appendTo(spool, makeEntry([makeDelivery({ id: 'r1' })], { take: true }));
  const retry = { kind: 'retry', notBefore: acceptedAt + 60_000, leaveLane: false, context: {} } as const;
  await settleIn(spool, makeSettlement(claimed?.seq ?? 0, retry, { attempt: answered(1, 503) }));
  const { body } = await post('/events/retry', { ids: ['r1', 'd1', 'h1', 'nothing'] });
  expect(body).toMatchObject({ count: 2, failed: 0, next: null });
  expect(body.skipped).toEqual([
    { id: 'h1', why: 'a business server withheld it' },
    { id: 'nothing', why: 'there is no such event' },
  ]);
  expect(woken).toEqual(['pool']);
  expect((await get('/events/r1')).body.dueAt).toBe(at(3000));
  expect((await get('/events/d1')).body.state).toBe('waiting');
  expect(notices.at(-1)).toContain('retried 2 events (4 ids)');
});

test('a drop counts first, takes the oldest first, and continues with its cursor', async () => {
  const { post, get, events, notices } = await startEvents();
  const deleted: string[] = [];
  events.on('spool.deleted', ({ handler, reason, count }) => deleted.push(`${count} of ${handler} by ${reason}`));
  const counted = (await post('/events/drop', { all: true, dryRun: true })).body;
  expect(counted).toMatchObject({ count: 2, next: null });
  const first = (await post('/events/drop', { filter: { before: counted.before }, limit: 1 })).body;
  expect(first).toMatchObject({ count: 1, skipped: [] });
  const second = (await post('/events/drop', { filter: { before: counted.before }, limit: 9, cursor: first.next })).body;
  expect(second).toMatchObject({ count: 1, next: null });
  expect(idsOf(await get('/events?state=waiting'))).toBe('');
  expect(deleted).toEqual(['1 of push by drop', '1 of log by drop']);
  expect(notices.at(-1)).toMatch(/dropped 1 events \(before /);
});

test('a drop leaves events that are being sent, and those that it cannot drop', async () => {
  const { post, spool } = await startEvents();
  await appendTo(spool, makeEntry([makeDelivery({ id: 'c1' })], { take: true }));
  const { body } = await post('/events/drop', { ids: ['c1', 'd1'] });
  expect(body).toMatchObject({
    count: 0,
    skipped: [{ id: 'c1', why: 'it is on its way; to drop it, pause its pool first' }, { id: 'd1' }],
  });
});

test.each([
  ['drop', 'dead', 'only events that are waiting can be dropped'],
  ['retry', 'delivered', 'only events that are waiting or dead can be retried'],
])('%s of %s events is refused, also if they are only counted', async (action, state, message) => {
  const { post } = await startEvents();
  for (const dryRun of [true, false]) {
    const refused = await post(`/events/${action}`, { filter: { state: [state] }, dryRun });
    expect([refused.status, refused.body]).toEqual([400, { code: 'WRONG_STATE', message }]);
  }
});
