import { createHook } from 'node:async_hooks';
import { scryptSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readCredential } from '../../../src/config/exits.ts';
import type { ExitsAttachment } from '../../../src/config/service-config.ts';
import { Secret } from '../../../src/kit/secret.ts';
import { eventually } from '../../support/eventually.ts';
import { makeDescriptor, requestBytes, startExitsSource } from '../../support/exits-source.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { openHttpConnection } from '../../support/http-connection.ts';

const unit = { kind: 'module', name: 'unit', url: 'file:///unit.mjs' } as const;
const told = { unit: ({ init, mput }: UnitCall) => mput(init().httpInfo.descriptor) };
type UnitCall = { init(): { httpInfo: { descriptor: string; user: string | undefined } }; mput(part: string): void };

describe('a path', () => {
  const descriptors = [
    makeDescriptor({ name: 'ALL', path: '/*', unit }),
    makeDescriptor({ name: 'ORDERS', path: '/orders/*', unit }),
    makeDescriptor({ name: 'DEEP', path: '/orders/new/*', unit }),
    makeDescriptor({ name: 'EXACT', path: '/orders/new/', unit }),
    makeDescriptor({ name: 'NEW', path: '/orders/new', unit }),
  ];

  test.each([
    ['/', 'ALL'],
    ['/orders', 'ALL'],
    ['/orders/', 'ORDERS'],
    ['/orders/1', 'ORDERS'],
    ['/orders/new', 'NEW'],
    ['/orders/new?x=/y', 'NEW'],
    ['/orders/new/', 'EXACT'],
    ['/orders/new/1', 'DEEP'],
    ['/ORDERS/new', 'ALL'],
    ['/x/../orders/new', 'NEW'],
    ['/%6frders/new', 'NEW'],
    ['/orders%2Fnew', 'ALL'],
    ['/orders/..', 'ALL'],
    ['/../../orders/new', 'NEW'],
  ])('%s is routed to %s: the longest path wins', async (path, name) => {
    await using front = await startExitsSource({ ...told, attachment: { descriptors } });
    expect(await front.ask({ path })).toMatchObject({ status: 200, body: `${name}\n` });
  });

  test.each([
    ['/nowhere', 404, 'no descriptor has this path'],
    ['/pushes', 404, 'no descriptor has this path'],
    ['/push/', 404, 'no descriptor has this path'],
    ['*', 400, 'the path is malformed'],
    ['/push%zz', 400, 'the path is malformed'],
  ])('%s has no descriptor: %i', async (path, status, text) => {
    await using front = await startExitsSource();
    expect(await front.ask({ path })).toMatchObject({ status, body: `${text}\n` });
  });

  test('applies to the listener of its descriptor, or to all', async () => {
    const listeners = ['public', 'inner'].map((name) => ({ name, host: '127.0.0.1', port: 0 }));
    await using front = await startExitsSource({
      ...told,
      attachment: {
        listeners,
        descriptors: [
          makeDescriptor({ name: 'BOTH', path: '/both', unit }),
          makeDescriptor({ name: 'INNER', path: '/inner', unit, listener: 'inner' }),
          makeDescriptor({ name: 'P', path: '/x', unit, listener: 'public' }),
          makeDescriptor({ name: 'I', path: '/x', unit, listener: 'inner' }),
        ],
      },
    });
    const asked = async (path: string) => [await front.ask({ path }), await front.ask({ path, listener: 1 })].map((answer) => answer?.body);
    expect(await asked('/both')).toEqual(['BOTH\n', 'BOTH\n']);
    expect(await asked('/inner')).toEqual(['no descriptor has this path\n', 'INNER\n']);
    expect(await asked('/x')).toEqual(['P\n', 'I\n']);
    expect(front.notices).toEqual([expect.stringMatching(/ \(public\)$/), expect.stringMatching(/ \(inner\)$/)]);
  });
});

describe('a method', () => {
  test.each([
    ['GET', 'PUSH', 'POST'],
    ['PUT', 'PUSH', 'POST'],
    ['POST', 'STATUS', 'GET, HEAD'],
  ] as const)('%s is not for %s', async (method, name, allow) => {
    await using front = await startExitsSource({ descriptor: { unit: { kind: 'builtin', name } } });
    const answer = await front.ask({ method });
    expect([answer?.status, answer?.headers.get('allow')]).toEqual([405, allow]);
  });

  test('is interpreted by a module, except methods that no service accepts', async () => {
    await using front = await startExitsSource({ unit: ({ init, mput }) => mput(init().httpInfo.method) });
    for (const method of ['DELETE', 'GET', 'PATCH', 'POST', 'PUT']) expect((await front.ask({ method }))?.body).toBe(`${method}\n`);
    expect((await front.ask({ method: 'OPTIONS' }))?.headers.get('allow')).toBe('DELETE, GET, HEAD, PATCH, POST, PUT');
  });
});

describe('credentials', () => {
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
  const salt = Buffer.from('a salt of the test');
  const key = scryptSync('żółw:2', salt, 32, { N: 16, r: 8, p: 1 });
  const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');
  const hashed = readCredential('bob', `$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(key)}`);
  const users = [{ kind: 'plain', user: 'shop', password: new Secret('pw') } as const, ...(hashed === undefined ? [] : [hashed])];
  const rig = () =>
    startExitsSource({
      attachment: { users },
      descriptor: { userAuth: 'basic' },
      unit: ({ init, mput }) => mput(`${init().httpInfo.user}`),
    });

  test.each([
    ['shop:pw', 'shop'],
    ['bob:żółw:2', 'bob'],
  ])('%s authenticate %s, each time', async (text, user) => {
    await using front = await rig();
    for (let i = 0; i < 2; i += 1) expect(await front.ask({ headers: basic(text) })).toMatchObject({ status: 200, body: `${user}\n` });
  });

  test.each([
    ['no credentials', {}],
    ['a wrong password', basic('shop:PW')],
    ['a wrong password for a hash', basic('bob:pw')],
    ['the hash itself', basic(`bob:$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(key)}`)],
    ['the password of another user', basic('bob:pw')],
    ['an unknown user', basic('eve:pw')],
    ['no user', basic(':')],
    ['no colon', basic('shop')],
    ['another scheme', { authorization: 'Bearer pw' }],
    ['a text that is not base64', { authorization: 'Basic ***' }],
  ])('%s: 401', async (_, headers) => {
    await using front = await rig();
    const answer = await front.ask({ headers });
    expect([answer?.status, answer?.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="xmpp-event-pusher", charset="UTF-8"']);
    expect(answer?.headers.get('connection')).toBe('close');
  });

  test('are not checked if the descriptor does not require them', async () => {
    await using front = await startExitsSource({ attachment: { users }, unit: ({ init, mput }) => mput(`${init().httpInfo.user}`) });
    expect((await front.ask({ headers: basic('shop:pw') }))?.body).toBe('undefined\n');
  });

  test('are checked before method and size', async () => {
    await using front = await rig();
    expect((await front.ask({ method: 'OPTIONS' }))?.status).toBe(401);
    expect((await front.ask({ path: '/nowhere' }))?.status).toBe(404);
  });
});

describe('passwords with a hash', () => {
  const basic = (user: string, password: string) => ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });
  const salt = 'YSBzYWx0IG9mIHRoZSB0ZXN0';
  const key = scryptSync('right', Buffer.from(salt, 'base64'), 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 })
    .toString('base64')
    .replaceAll('=', '');
  const hashed = ['bob', 'carol'].flatMap((user) => readCredential(user, `$scrypt$ln=15,r=8,p=1$${salt}$${key}`) ?? []);
  const rig = (attachment: Partial<ExitsAttachment> = {}) =>
    startExitsSource({
      attachment: { users: hashed, ...attachment },
      descriptor: { userAuth: 'basic' },
      unit: ({ init, mput }) => mput(`${init().httpInfo.user}`),
      clock: createFakeClock(),
    });

  /** The number of hashes that were started during `action`. */
  async function hashesDuring(action: () => Promise<void>): Promise<number> {
    let begun = 0;
    const init = (_: number, type: string) => {
      if (type === 'SCRYPTREQUEST') begun += 1;
    };
    const hook = createHook({ init }).enable();
    try {
      await action();
    } finally {
      hook.disable();
    }
    return begun;
  }

  test('300 clients that disconnect delay a valid one by a limited number of hashes', async () => {
    await using front = await rig();
    const hashes = await hashesDuring(async () => {
      const strangers = await Promise.all(Array.from({ length: 300 }, () => openHttpConnection(front.ports()[0] ?? 0)));
      for (const [index, stranger] of strangers.entries()) stranger.send(requestBytes({ headers: basic('bob', `wrong ${index}`) }));
      await eventually(() => front.skipped.includes('overloaded'));
      for (const stranger of strangers) stranger[Symbol.dispose]();
      await eventually(async () => (await front.ask({ headers: basic('bob', 'right') }))?.status === 200);
    });
    expect(hashes).toBeLessThanOrEqual(2 + 8 + 1); // concurrent, waiting for one address, and the valid one
  });

  test('are not checked for clients that disconnected while they waited', async () => {
    await using front = await rig();
    const hashes = await hashesDuring(async () => {
      const strangers = await Promise.all(Array.from({ length: 10 }, () => openHttpConnection(front.ports()[0] ?? 0)));
      for (const [index, stranger] of strangers.entries()) stranger.send(requestBytes({ headers: basic('bob', `wrong ${index}`) }));
      await eventually(async () => (await front.ask({ headers: basic('bob', `wrong ${strangers.length}`) }))?.status === 503);
      for (const stranger of strangers) stranger[Symbol.dispose]();
      await eventually(async () => (await front.ask({ headers: basic('bob', 'right') }))?.status === 200);
    });
    expect(hashes).toBeLessThan(8);
  });

  test('wait in a queue of limited length: further clients get 503, and a client that was verified before does not wait', async () => {
    await using front = await rig();
    expect((await front.ask({ headers: basic('carol', 'right') }))?.status).toBe(200);
    const statuses: (number | undefined)[] = [];
    const hashes = await hashesDuring(async () => {
      const clients = await Promise.all(Array.from({ length: 40 }, () => openHttpConnection(front.ports()[0] ?? 0)));
      for (const [index, client] of clients.entries()) client.send(requestBytes({ headers: basic('bob', `wrong ${index}`) }));
      expect((await front.ask({ headers: basic('carol', 'right') }))?.status).toBe(200);
      for (const client of clients) {
        const answer = await client.answer();
        statuses.push(answer?.status);
        if (answer?.status === 503) expect(answer.headers.get('retry-after')).toBe('1');
        client[Symbol.dispose]();
      }
    });
    expect(hashes).toBe(statuses.filter((status) => status === 401).length);
    expect(statuses.filter((status) => status === 503).length).toBe(40 - hashes);
    expect(hashes).toBeLessThan(40);
  });

  test('are checked once for concurrent clients with the same credentials', async () => {
    await using front = await rig();
    const hashes = await hashesDuring(async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => front.ask({ headers: basic('bob', 'right') })));
      expect(new Set(answers.map((answer) => answer?.body))).toEqual(new Set(['bob\n']));
    });
    expect(hashes).toBe(1);
  });

  test('are not hashed at the rate limit, which wrong ones do not consume', async () => {
    await using front = await rig({ rateLimit: { requests: 1, perMs: 5000, burst: 1 } });
    for (const password of ['wrong', 'wrong too']) expect((await front.ask({ headers: basic('bob', password) }))?.status).toBe(401);
    expect((await front.ask({ headers: basic('bob', 'right') }))?.status).toBe(200);
    const hashes = await hashesDuring(async () => {
      expect((await front.ask({ headers: basic('carol', 'wrong') }))?.status).toBe(429);
      expect((await front.ask({ headers: basic('bob', 'right') }))?.status).toBe(429);
    });
    expect(hashes).toBe(0);
  });
});

describe('a limit for', () => {
  test('a body: 413, with or without a declared length', async () => {
    await using front = await startExitsSource({ attachment: { maxBodyBytes: 10 }, unit: ({ mput }) => mput('x') });
    expect((await front.ask({ body: '0123456789' }))?.status).toBe(200);
    expect(await front.ask({ body: '0123456789a' })).toMatchObject({ status: 413, body: 'the body exceeds 10 bytes\n' });
    using client = await openHttpConnection(front.ports()[0] ?? 0);
    client.send('POST /push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n');
    expect((await client.answer())?.status).toBe(413);
  });

  test('a chunked body: one within the limit is read completely', async () => {
    await using front = await startExitsSource({ unit: async ({ mget, mput }) => mput((await mget()) ?? '') });
    using client = await openHttpConnection(front.ports()[0] ?? 0);
    client.send('POST /push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n');
    expect((await client.answer())?.body).toBe('abcde\n');
  });

  test('concurrent bodies: 503 until the others have ended', async () => {
    await using front = await startExitsSource({
      attachment: { maxUncommittedBytes: 15, maxBodyBytes: 10 },
      unit: ({ mput }) => mput('x'),
    });
    using slow = await openHttpConnection(front.ports()[0] ?? 0);
    slow.send('POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab');
    await eventually(async () => (await front.ask({ body: '0123456789' }))?.status === 503);
    expect((await front.ask({ body: '01234' }))?.status).toBe(200);
    slow.send('cdefghij');
    expect((await slow.answer())?.status).toBe(200);
    expect((await front.ask({ body: '0123456789' }))?.status).toBe(200);
  });

  test('headers: 431', async () => {
    await using front = await startExitsSource({ attachment: { maxHeaders: 5 }, unit: ({ mput }) => mput('x') });
    const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, '1']));
    expect((await front.ask({ headers: headers(3) }))?.status).toBe(200); // with host and content-length
    expect((await front.ask({ headers: headers(4) }))?.status).toBe(431);
  });

  test('time: an incomplete request is ended', async () => {
    await using front = await startExitsSource({ attachment: { requestTimeoutMs: 100 } });
    using client = await openHttpConnection(front.ports()[0] ?? 0);
    client.send('POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab');
    await eventually(() => client.closed);
    expect(front.packets).toEqual([]);
  });

  test('requests: 429 with the time to wait', async () => {
    await using front = await startExitsSource({
      attachment: { rateLimit: { requests: 1, perMs: 5000, burst: 1 } },
      clock: createFakeClock(),
      unit: ({ mput }) => mput('x'),
    });
    expect((await front.ask({}))?.status).toBe(200);
    const answer = await front.ask({});
    expect([answer?.status, answer?.headers.get('retry-after')]).toEqual([429, '5']);
    expect(front.skipped).toEqual(['rate-limited']);
  });

  test('compression: 415', async () => {
    await using front = await startExitsSource();
    expect((await front.ask({ headers: { 'content-encoding': 'gzip' } }))?.status).toBe(415);
  });
});

describe('refused clients:', () => {
  test.each([
    ['a page of another site', { origin: 'https://evil.example' }],
    ['a sandboxed page', { origin: 'null' }],
    ['an image on another site', { 'sec-fetch-site': 'cross-site' }],
    ['an image on a neighbour', { 'sec-fetch-site': 'same-site' }],
  ])('%s: 403', async (_, headers) => {
    await using front = await startExitsSource({ attachment: { origins: ['https://app.example'] }, unit: ({ mput }) => mput('x') });
    expect((await front.ask({ headers }))?.status).toBe(403);
    expect(front.skipped).toEqual(['forged']);
  });

  test('pages of `origins` and clients other than browsers are accepted', async () => {
    await using front = await startExitsSource({ attachment: { origins: ['https://app.example'] }, unit: ({ mput }) => mput('x') });
    for (const headers of [{ origin: 'https://app.example', 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'none' }, {}]) {
      expect((await front.ask({ headers }))?.status).toBe(200);
    }
  });

  test('a pusher is refused by PUSH, because its pushes would circulate forever', async () => {
    await using front = await startExitsSource();
    expect((await front.ask({ headers: { 'event-pusher-attempt': '1' } }))?.status).toBe(403);
    await using other = await startExitsSource({ unit: ({ mput }) => mput('x') });
    expect((await other.ask({ headers: { 'event-pusher-attempt': '1' } }))?.status).toBe(200);
  });
});

test('a connection is kept for the next request', async () => {
  await using front = await startExitsSource({ unit: ({ mput }) => mput('x') });
  using client = await openHttpConnection(front.ports()[0] ?? 0);
  client.send(requestBytes({}));
  expect((await client.answer())?.body).toBe('x\n');
  client.send(Buffer.concat([requestBytes({}), requestBytes({})]));
  expect([(await client.answer())?.body, (await client.answer())?.body]).toEqual(['x\n', 'x\n']);
});

test('a HEAD is answered as a GET, without its body', async () => {
  await using front = await startExitsSource({ descriptor: { path: '/status', unit: { kind: 'builtin', name: 'STATUS' } } });
  const answer = await fetch(`http://127.0.0.1:${front.ports()[0]}/status`, { method: 'HEAD' });
  expect([answer.status, Number(answer.headers.get('content-length')) > 0, await answer.text()]).toEqual([200, true, '']);
});

test('a listener whose address is in use fails the start, and the others are closed', async () => {
  await using front = await startExitsSource();
  const [port = 0] = front.ports();
  const listeners = [0, port].map((wanted, i) => ({ name: `l${i}`, host: '127.0.0.1', port: wanted }));
  await expect(startExitsSource({ attachment: { listeners } })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: another program listens there; stop it, or change [attach.front] listen`,
  );
});
