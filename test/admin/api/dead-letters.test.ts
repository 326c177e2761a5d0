import { describe, expect, test } from 'vitest';
import { acceptedAt } from '../../spool/build.ts';
import { idsIn, startApi } from './ask-api.ts';

const at = (afterMs: number): string => new Date(acceptedAt + afterMs).toISOString();

describe('the list', () => {
  test('shows the facts about each letter without content', async () => {
    const { get, die } = await startApi();
    await die({ id: 'd1' }, { status: 422 });
    expect(await get('/dead-letters')).toEqual({
      status: 200,
      body: [
        {
          id: 'd1',
          host: 'localhost',
          handler: 'push',
          pool: 'pool',
          reason: 'refused',
          detail: 'status 422',
          status: 422,
          attempts: 1,
          createdAt: at(0),
          diedAt: at(1000),
        },
      ],
    });
  });

  test('shows the newest ones if there are more than the limit, newest last; or the oldest ones, in the same order', async () => {
    const { get, die } = await startApi();
    for (const id of ['a', 'b', 'c']) await die({ id });
    expect(idsIn(await get('/dead-letters'))).toEqual(['a', 'b', 'c']);
    expect(idsIn(await get('/dead-letters?limit=2'))).toEqual(['b', 'c']);
    expect(idsIn(await get('/dead-letters?limit=2&order=oldest'))).toEqual(['a', 'b']);
  });

  test('has a limit of 100 by default', async () => {
    const { get, die } = await startApi();
    for (let n = 0; n < 101; n += 1) await die({ id: `d${n}` });
    const ids = idsIn(await get('/dead-letters'));
    expect([ids.length, ids.at(-1)]).toEqual([100, 'd100']);
  });

  test.each([
    ['pool=other', ['a']],
    ['handler=alerts', ['b']],
    ['host=b.example', ['c']],
    ['reason=callback-failed', ['d']],
    [`since=${at(3000)}`, ['c', 'd']],
    [`before=${at(3000)}`, ['a', 'b']],
    [`since=${at(2000)}&before=${encodeURIComponent('2023-11-14T23:13:23+01:00')}`, ['b']],
    ['id=a&id=d&id=nobody', ['a', 'd']],
    ['pool=pool&host=b.example', ['c']],
  ])('of %s has %j', async (query, expected) => {
    const { get, die, addFailedPacket } = await startApi();
    await die({ id: 'a', pool: 'other' });
    await die({ id: 'b', handler: 'alerts' });
    await die({ id: 'c', host: 'b.example' });
    await addFailedPacket({ id: 'd' });
    expect(idsIn(await get(`/dead-letters?${query}`))).toEqual(expected);
  });

  test.each([
    ['limt=5', 'limt: received an unknown key', 'did you mean "limit"?'],
    ['limit=0', 'limit: received 0', 'a whole number from 1 to 10000'],
    ['limit=many', 'limit: received "many"', 'a whole number'],
    ['limit=5&limit=6', 'limit: received a list', 'a whole number'],
    ['reason=refussed', 'reason: received "refussed"', 'did you mean "refused"?'],
    ['since=yesterday', 'since: received "yesterday"', 'RFC 3339'],
    ['since=2026-02-30T00:00:00Z', 'since', 'RFC 3339'],
    ['order=random', 'order', 'one of newest, oldest'],
    ['content=yes', 'content', 'true or false'],
    ['pool=', 'pool: received ""', 'a string that is not empty'],
    ['__proto__=x', '__proto__', 'unknown key'],
  ])('refuses %s and says what it wants', async (query, wrong, wanted) => {
    const { get } = await startApi();
    const { status, body } = await get(`/dead-letters?${query}`);
    expect([status, body.code]).toEqual([400, 'BAD_REQUEST']);
    expect(body.message).toContain(wrong);
    expect(body.message).toContain(wanted);
  });
});

describe('one dead letter', () => {
  test('is shown with its request and every attempt, without content', async () => {
    const { get, die } = await startApi();
    const headers = [
      ['content-type', 'text/plain'],
      ['authorization', 'Bearer of.the.backend'],
    ] as const;
    await die({ id: 'd1', body: 'grüße', target: { kind: 'http', method: 'POST', path: '/n', headers, stanza: '<message/>' } });
    const { body } = await get('/dead-letters/d1');
    expect(body).toEqual({
      ...{ id: 'd1', host: 'localhost', handler: 'push', pool: 'pool', reason: 'refused', detail: 'status 400', status: 400, attempts: 1 },
      ...{ createdAt: at(0), diedAt: at(1000), bodyBytes: 7 },
      ...{ parent: null, descendants: [] },
      target: { kind: 'http', method: 'POST', path: '/n', headers: [headers[0], ['authorization', '[redacted]']] },
      history: [
        {
          number: 1,
          at: at(1),
          outcome: { kind: 'answered', status: 400, durationMs: 3, retryAfter: null, excerpt: 'so', truncated: false },
          judgement: null,
        },
      ],
    });
  });

  test('is shown with its parent, its destination and its descendants', async () => {
    const { get, die } = await startApi();
    const purpose = { kind: 'order', origin: 'http://10.0.0.172:5984', depth: 1 } as const;
    await die({ id: 'X.1', target: { kind: 'http', method: 'PUT', path: '/n', headers: [], purpose } });
    await die({ id: 'X.1.1', target: { kind: 'xmpp', from: undefined, to: '+123', fault: 'to is not a JID' } });
    const target = { kind: 'http', origin: purpose.origin, method: 'PUT', path: '/n', headers: [] };
    expect((await get('/dead-letters/X.1')).body).toMatchObject({ parent: 'X', descendants: [{ id: 'X.1.1', state: 'dead' }], target });
    expect((await get('/dead-letters/X.1.1')).body).toMatchObject({ parent: 'X.1', descendants: [], target: { kind: 'xmpp', from: null } });
    expect((await get('/dead-letters/X.1.1')).body.target).not.toHaveProperty('to');
    expect((await get('/dead-letters/X.1.1?content=true')).body.target.to).toBe('+123');
    const { status, body } = await get('/dead-letters/X');
    expect([status, body.message]).toEqual([404, 'there is no dead letter "X"; of its descendants, X.1 is dead, X.1.1 is dead']);
  });

  test('is shown in full to callers that ask for content and may see it', async () => {
    const { get, die, addFailedPacket } = await startApi();
    await die({
      id: 'text',
      body: 'hello',
      target: { kind: 'http', method: 'POST', path: '/', headers: [['cookie', 'a=b']], stanza: '<m/>' },
    });
    await die({ id: 'bytes', body: Uint8Array.from([0, 255]) });
    await addFailedPacket({ id: 'still' });
    expect((await get('/dead-letters/text?content=true')).body).toMatchObject({
      sender: 'alice@localhost',
      receiver: 'bob@localhost',
      body: { encoding: 'text', data: 'hello' },
      target: { headers: [['cookie', 'a=b']], stanza: '<m/>' },
    });
    expect((await get('/dead-letters/bytes?content=true')).body.body).toEqual({ encoding: 'base64', data: 'AP8=' });
    expect((await get('/dead-letters/still?content=true')).body).toMatchObject({
      target: null,
      bodyBytes: null,
      packet: '{"xml":"<message/>"}',
    });
    expect((await get('/dead-letters?content=true&id=text')).body[0].sender).toBe('alice@localhost');
  });

  test('is shown without content to callers without the configured token', async () => {
    const { get, die } = await startApi({ token: 'sesame' });
    await die({ id: 'd1' });
    for (const path of ['/dead-letters/d1?content=true', '/dead-letters?content=true']) {
      const refused = await get(path);
      expect([refused.status, refused.body.code]).toEqual([403, 'CONTENT_HIDDEN']);
      expect((await get(path, { authorization: 'Bearer sesame' })).status).toBe(200);
    }
    expect((await get('/dead-letters/d1')).status).toBe(200);
  });

  test('that does not exist is a 404 with a code, for any id', async () => {
    const { get, die } = await startApi();
    await die({ id: 'a/b' });
    expect((await get('/dead-letters/a%2Fb')).body.id).toBe('a/b');
    for (const id of ['nobody', '%F0%9F%90%98', '..%2f..%2fetc', 'constructor']) {
      const { status, body } = await get(`/dead-letters/${id}`);
      expect([status, body.code]).toEqual([404, 'UNKNOWN_DEAD_LETTER']);
    }
    for (const length of [400, 4000]) expect((await get(`/dead-letters/${'x'.repeat(length)}`)).body.code).toBe('BAD_REQUEST');
  });
});

describe.each(['replay', 'purge'])('%s', (verb) => {
  test.each([
    [{ ids: ['a', 'c'] }, ['b']],
    [{ filter: { handler: 'alerts' } }, ['a', 'c']],
    [{ filter: { before: at(3000) } }, ['c']],
    [{ ids: ['a', 'b'], filter: { handler: 'alerts' } }, ['a', 'c']],
    [{ all: true }, []],
  ])('of %j takes what is meant and leaves %j', async (selection, left) => {
    const { get, post, die } = await startApi();
    await die({ id: 'a' });
    await die({ id: 'b', handler: 'alerts' });
    await die({ id: 'c' });
    const { status, body } = await post(`/dead-letters/${verb}`, selection);
    expect([status, body.count]).toEqual([200, 3 - left.length]);
    expect(idsIn(await get('/dead-letters'))).toEqual(left);
  });

  test('without a selection is refused with the valid selections', async () => {
    const { get, post, die } = await startApi();
    await die();
    for (const nothing of [undefined, {}, { dryRun: false }, { filter: {} }, { filter: { pool: 'pool' }, all: true }]) {
      const { status, body } = await post(`/dead-letters/${verb}`, nothing);
      expect([status, body.code]).toEqual([400, 'BAD_REQUEST']);
      expect(body.message).toContain('to select dead letters');
    }
    expect(idsIn(await get('/dead-letters'))).toEqual(['d1']);
  });

  test('only counts in a dry run, and returns the instant that selects the same letters again', async () => {
    const { get, post, die, notices } = await startApi();
    await die({ id: 'a' });
    const { body: counted } = await post(`/dead-letters/${verb}`, { all: true, dryRun: true });
    expect(counted).toMatchObject({ count: 1, before: at(1001) });
    await die({ id: 'b' });
    expect(idsIn(await get('/dead-letters'))).toEqual(['a', 'b']);
    expect(notices).toEqual([]);

    await post(`/dead-letters/${verb}`, { filter: { before: counted.before } });
    expect(idsIn(await get('/dead-letters'))).toEqual(['b']);
  });

  test('a dry run in the wrong place changes nothing', async () => {
    const { get, post, die } = await startApi();
    await die();
    const { status, body } = await post(`/dead-letters/${verb}?dryRun=true`, { all: true });
    expect([status, body.message]).toEqual([400, 'a POST takes no query; send the parameters in the JSON body']);
    expect(idsIn(await get('/dead-letters'))).toEqual(['d1']);
  });

  test('is one line in the log, without names of users', async () => {
    const { post, die, notices } = await startApi();
    await die();
    await post(`/dead-letters/${verb}`, { ids: ['d1', 'd2'], filter: { pool: 'pool' } });
    const told = verb === 'replay' ? 'replayed 1 dead letters (2 ids, pool pool); 0 stay dead' : 'purged 1 dead letters (2 ids, pool pool)';
    expect(notices).toEqual([`admin API, asked from 127.0.0.1: ${told}`]);
  });

  test.each([
    [{ id: ['a'] }, 'did you mean "ids"?'],
    [{ ids: 'a' }, 'a list of 1 to 10000 ids'],
    [{ ids: [] }, 'a list of 1 to 10000 ids'],
    [{ ids: [7] }, 'the id of a delivery'],
    [{ ids: ['x'.repeat(201)] }, 'the id of a delivery'],
    [{ filter: { pol: 'x' } }, 'filter.pol: received an unknown key'],
    [{ filter: [] }, 'filter'],
    [{ all: false }, 'all'],
    [{ all: true, dryRun: 'yes' }, 'true or false'],
    [[{ all: true }], 'a JSON object'],
    ['all', 'a JSON object'],
    [null, 'a JSON object'],
  ])('refuses %j', async (asked, wanted) => {
    const { get, post, die } = await startApi();
    await die();
    const { status, body } = await post(`/dead-letters/${verb}`, asked);
    expect([status, body.code]).toEqual([400, 'BAD_REQUEST']);
    expect(body.message).toContain(wanted);
    expect(idsIn(await get('/dead-letters'))).toEqual(['d1']);
  });
});

describe('a name in a filter', () => {
  const ways = [
    ['list', (name: string, value: string) => ({ path: `/dead-letters?${name}=${value}`, body: undefined })],
    ['replay', (name: string, value: string) => ({ path: '/dead-letters/replay', body: { filter: { [name]: value } } })],
    ['replay', (name: string, value: string) => ({ path: '/dead-letters/replay', body: { filter: { [name]: value }, dryRun: true } })],
    ['purge', (name: string, value: string) => ({ path: '/dead-letters/purge', body: { filter: { [name]: value } } })],
    ['purge', (name: string, value: string) => ({ path: '/dead-letters/purge', body: { filter: { [name]: value }, dryRun: true } })],
  ] as const;
  const refused = [
    [
      'handler',
      'puhs',
      'UNKNOWN_HANDLER',
      'there is no handler "puhs" and no dead letter with this name; there are: push; did you mean "push"?',
    ],
    ['pool', 'poll', 'UNKNOWN_POOL', 'there is no pool "poll" and no dead letter with this name; there are: pool; did you mean "pool"?'],
    ['host', 'example.org', 'UNKNOWN_HOST', 'there is no host "example.org" and no dead letter with this name; there are: localhost'],
  ] as const;

  test.each(ways)('that is neither configured nor in a dead letter is refused with the known ones: %s', async (_verb, asking) => {
    const { get, post, die, notices } = await startApi();
    await die({ id: 'd1' });
    for (const [name, value, code, message] of refused) {
      const { path, body } = asking(name, value);
      expect(await (body === undefined ? get(path) : post(path, body))).toEqual({ status: 404, body: { code, message } });
    }
    expect(idsIn(await get('/dead-letters'))).toEqual(['d1']);
    expect(notices).toEqual([]);
  });

  test.each(ways)('that is configured and has no dead letter is accepted: %s', async (_verb, asking) => {
    const { get, post } = await startApi();
    for (const [name, value] of [
      ['handler', 'push'],
      ['pool', 'pool'],
      ['host', 'localhost'],
    ] as const) {
      const { path, body } = asking(name, value);
      expect((await (body === undefined ? get(path) : post(path, body))).status).toBe(200);
    }
  });

  test('that only dead letters have is accepted, with any other keys in the filter', async () => {
    const { get, post, die } = await startApi();
    await die({ id: 'old', handler: 'gone', pool: 'gone', host: 'gone.example' });
    const filter = { handler: 'gone', pool: 'gone', host: 'gone.example' };
    expect(await get('/dead-letters?handler=gone&reason=overflow')).toEqual({ status: 200, body: [] });
    expect((await post('/dead-letters/purge', { filter: { ...filter, reason: 'overflow' } })).body.count).toBe(0);
    expect((await post('/dead-letters/replay', { filter, dryRun: true })).body.count).toBe(1);
    expect((await post('/dead-letters/purge', { filter })).body.count).toBe(1);
  });
});

test('replay makes deliveries of the oldest letters up to a limit, and reports how many remain', async () => {
  const { get, post, die, addFailedPacket } = await startApi();
  await addFailedPacket({ id: 'still' });
  for (const id of ['a', 'b', 'c']) await die({ id });
  expect((await post('/dead-letters/replay', { all: true, limit: 1, dryRun: true })).body.count).toBe(1);
  expect((await post('/dead-letters/replay', { filter: { reason: 'refused' }, limit: 2 })).body).toMatchObject({ count: 2, failed: 0 });
  expect(idsIn(await get('/dead-letters'))).toEqual(['still', 'c']);
  expect((await post('/dead-letters/replay', { all: true })).body).toMatchObject({ count: 1, failed: 1 });
});

test('purge has no limit: the remaining letters would be arbitrary', async () => {
  const { post } = await startApi();
  expect((await post('/dead-letters/purge', { all: true, limit: 1 })).body.message).toContain('limit: received an unknown key');
});

test('the number of ids in one request is limited', async () => {
  const { post } = await startApi();
  const ids = Array.from({ length: 10_000 }, (_, n) => `d${n}`);
  expect((await post('/dead-letters/purge', { ids })).body.count).toBe(0);
  expect((await post('/dead-letters/purge', { ids: [...ids, 'one'] })).body.message).toContain('a list of 1 to 10000 ids');
});
