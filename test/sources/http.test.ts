import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { Secret } from '../../src/kit/secret.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';
import { openHttpConnection } from '../support/http-connection.ts';
import { mongooseimPost, startHttpSource } from '../support/http-source.ts';

const hello = 'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21';
const formType = 'application/x-www-form-urlencoded';

describe('a post of MongooseIM', () => {
  test('becomes a chat message of a local user', async () => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    client.send(mongooseimPost(hello));

    expect(await client.answer()).toMatchObject({ status: 200, body: '' });
    expect(chatServer.packets).toMatchObject([
      {
        id: 'packet-1',
        direction: 'in',
        kind: 'message',
        host: 'localhost',
        origin: 'chat',
        session: undefined,
        sessions: undefined,
        from: { full: 'alice@localhost' },
        to: { full: 'bob@localhost' },
      },
    ]);
    expect(chatServer.packets[0]?.stanza.xml).toBe(
      '<message xmlns="jabber:client" type="chat" id="packet-1" from="alice@localhost" to="bob@localhost"><body>Hi, Bob!</body></message>',
    );
    expect(chatServer.stored.map(({ body }) => body)).toEqual([hello]);
    expect(chatServer.read()).toBe(hello.length);
  });

  test.each([
    ['both spellings of a space', 'message=%C5%BC%C3%B3%C5%82%C4%87%20%F0%9F%98%80+a%2Bb%26c%3Dd', 'żółć 😀 a+b&c=d'],
    ['markup', 'message=%3C%2Fbody%3E%26amp%3B%22%0A', '</body>&amp;"\n'],
    ['an unknown field', 'message=hi&thread=7', 'hi'],
  ])('is read correctly with %s', async (_, field, body) => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    client.send(mongooseimPost(`author=alice&server=localhost&receiver=bob&${field}`));
    expect((await client.answer())?.status).toBe(200);
    expect(chatServer.bodies()).toEqual([body]);
  });

  test('is pushed with a body of blanks, each space as a plus', async () => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    for (const body of ['++', '%20%20', '%3F%21%20%28']) {
      client.send(mongooseimPost(`author=alice&server=localhost&receiver=bob&message=${body}`));
      expect((await client.answer())?.status).toBe(200);
    }
    await eventually(() => chatServer.stored.length === 3);
    const form = (message: string) => `author=alice&server=localhost&receiver=bob&message=${message}`;
    expect(chatServer.stored.map(({ body }) => body)).toEqual([form('++'), form('++'), form('%3F%21+%28')]);
  });

  test('has local parts in any script, with unchanged escapes; an empty one is the server itself', async () => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    client.send(mongooseimPost('author=%C5%BC%C3%B3%C5%82%C4%87&server=localhost&receiver=a%5C20b%2Bc&message=1'));
    client.send(mongooseimPost('author=&server=localhost&receiver=&message=2'));
    await client.answer();
    await client.answer();
    expect(chatServer.packets.map(({ from, to }) => [from.bare, to.bare])).toEqual([
      ['żółć@localhost', 'a\\20b+c@localhost'],
      ['localhost', 'localhost'],
    ]);
  });

  test('may follow another on the same connection', async () => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    for (const body of ['1', '2', '3']) {
      client.send(mongooseimPost(`author=a&server=localhost&receiver=b&message=${body}`));
      expect((await client.answer())?.status).toBe(200);
    }
    expect(chatServer.bodies()).toEqual(['1', '2', '3']);
    expect(client.closed).toBe(false);
  });

  test('is read completely from pieces of any size', async () => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    const bytes = Buffer.from(mongooseimPost(hello));
    for (const byte of bytes) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.answer())?.status).toBe(200);
    expect(chatServer.bodies()).toEqual(['Hi, Bob!']);
  });
});

describe('the response', () => {
  test('waits for the commit', async () => {
    const disk = createDeferred<void>();
    await using chatServer = await startHttpSource({ disk: () => disk.promise, timers: createFakeTimers() });
    using client = await openHttpConnection(chatServer.port);
    client.send(mongooseimPost(hello));
    await eventually(() => chatServer.intake.uncommitted === 1);
    const answer = client.answer();
    expect(chatServer.source.uncommittedBytes).toBe(hello.length);

    disk.resolve();
    expect((await answer)?.status).toBe(200);
    expect(chatServer.source.uncommittedBytes).toBe(0);
  });

  test('is 503 if the commit is late, and the message is pushed once', async () => {
    const disk = createDeferred<void>();
    const timers = createFakeTimers();
    await using chatServer = await startHttpSource({ disk: () => disk.promise, timers });
    using client = await openHttpConnection(chatServer.port);
    client.send(mongooseimPost(hello));
    await eventually(() => timers.pending === 1);
    timers.fire();
    const answer = await client.answer();
    expect(answer).toMatchObject({ status: 503, body: 'accepted but not committed within 50 ms; it may still be pushed once' });
    expect(answer?.headers.get('retry-after')).toBe('1');

    disk.resolve();
    await chatServer.intake.idle();
    expect(chatServer.stored.map(({ body }) => body)).toEqual([hello]);
  });

  test('to one sender does not wait for another sender', async () => {
    const slow = createDeferred<boolean>();
    const shouldMakeReq = ({ from }: { readonly from: { readonly user: string } }) => (from.user === 'slow' ? slow.promise : true);
    await using chatServer = await startHttpSource({ callbacks: { shouldMakeReq }, timers: createFakeTimers() });
    using first = await openHttpConnection(chatServer.port);
    using second = await openHttpConnection(chatServer.port);
    first.send(mongooseimPost(hello.replace('alice', 'slow')));
    await eventually(() => chatServer.packets.length === 1);
    second.send(mongooseimPost(hello));
    expect((await second.answer())?.status).toBe(200);

    slow.resolve(true);
    expect((await first.answer())?.status).toBe(200);
  });

  test('is 503, and nothing is accepted, while too much is waiting for the disk', async () => {
    const disk = createDeferred<void>();
    await using chatServer = await startHttpSource({
      disk: () => disk.promise,
      timers: createFakeTimers(),
      attachment: { maxUncommittedBytes: hello.length },
    });
    const clients = await Promise.all([1, 2, 3].map(() => openHttpConnection(chatServer.port)));
    const [one, two, three] = clients;
    one?.send(mongooseimPost(hello));
    two?.send(mongooseimPost(hello));
    await eventually(() => chatServer.packets.length === 2);
    three?.send(mongooseimPost(hello));
    const answer = await three?.answer();
    expect(answer).toMatchObject({ status: 503, body: 'not accepted: the service is overloaded or stopping' });
    expect(answer?.headers.get('retry-after')).toBe('1');
    expect(chatServer.skipped).toEqual(['overloaded']);

    disk.resolve();
    expect((await one?.answer())?.status).toBe(200);
    three?.send(mongooseimPost(hello));
    expect((await three?.answer())?.status).toBe(200);
    for (const client of clients) client[Symbol.dispose]();
  });
});

describe('a request is refused if it', () => {
  const fields = { author: 'alice', server: 'localhost', receiver: 'bob', message: 'hi' };
  const without = (name: string) => new URLSearchParams(Object.entries(fields).filter(([key]) => key !== name)).toString();
  const within = (change: Partial<typeof fields>) => new URLSearchParams({ ...fields, ...change }).toString();

  test.each([
    ['author', without('author'), 'the field author is missing'],
    ['server', without('server'), 'the field server is missing'],
    ['receiver', without('receiver'), 'the field receiver is missing'],
    ['message', without('message'), 'the field message is missing'],
  ])('lacks the field %s', async (_, body, text) => {
    expect(await refused(body)).toEqual({ status: 400, text, skipped: ['malformed'] });
  });

  test.each([
    ['a field twice', `${within({})}&author=bob`, 'duplicate field author'],
    ['a broken escape', `${within({})}%`, 'a %-escape is malformed or not UTF-8'],
    ['an escape that is not hexadecimal', `${within({})}%zz`, 'a %-escape is malformed or not UTF-8'],
    ['escapes that are not UTF-8', `${within({})}%ff`, 'a %-escape is malformed or not UTF-8'],
    ['a surrogate in UTF-8', `${within({})}%ed%a0%80`, 'a %-escape is malformed or not UTF-8'],
    ['bytes that are not UTF-8', Buffer.from(`${within({})}\xff`, 'latin1'), 'the body is not UTF-8'],
    ['a character that XML does not allow', within({ message: '\x00' }), 'the field message contains a character that XML does not allow'],
    ['an author that is an address', within({ author: 'eve@evil.example/' }), 'the author must be a local part, without @ and /'],
    ['a receiver that is an address', within({ receiver: 'bob@b.example' }), 'the receiver must be a local part, without @ and /'],
    ['an empty body', '', 'the field author is missing'],
  ])('has %s', async (_, body, text) => {
    expect(await refused(body)).toEqual({ status: 400, text, skipped: ['malformed'] });
  });

  test.each([
    ['b.example', 'b.example is not a host of this attachment'],
    ['alice@localhost', 'alice@localhost is not a host of this attachment'],
    ['', ' is not a host of this attachment'],
  ])('names %j as its server', async (server, text) => {
    expect(await refused(within({ server }))).toEqual({ status: 403, text, skipped: ['unknown-host'] });
  });

  test.each([
    ['not a form', { 'content-type': 'application/json' }],
    ['a type that only begins like that of a form', { 'content-type': `${formType}x` }],
    ['in another charset', { 'content-type': `${formType}; charset=iso-8859-1` }],
    ['compressed', { 'content-type': formType, 'content-encoding': 'gzip' }],
  ])('is %s', async (_, headers) => {
    const text = `the body must be ${formType}, in UTF-8 and not compressed`;
    expect(await refused(within({}), { headers })).toEqual({ status: 400, text, skipped: ['malformed'] });
  });

  test('is accepted with the charset UTF-8', async () => {
    const headers = { 'content-type': 'Application/X-WWW-form-urlencoded; Charset="UTF-8"' };
    expect((await refused(within({}), { headers })).status).toBe(200);
  });

  test('is for another path, with any method', async () => {
    expect(await refused(within({}), { path: '/other' })).toEqual({
      status: 404,
      text: 'posts are accepted only at /',
      skipped: ['malformed'],
    });
  });

  test('is not a POST', async () => {
    await using chatServer = await startHttpSource();
    const answer = await fetch(chatServer.address);
    expect([answer.status, answer.headers.get('allow'), await answer.text()]).toEqual([405, 'POST', 'only POST is accepted']);
  });

  test('comes from a web page', async () => {
    const headers = { 'content-type': formType, origin: 'http://evil.example' };
    expect(await refused(within({}), { headers })).toEqual({
      status: 403,
      text: 'requests of web pages are not accepted',
      skipped: ['forged'],
    });
  });

  test('comes from a pusher, for example of a pool that leads to the listener', async () => {
    const headers = { 'content-type': formType, 'event-pusher-attempt': '1' };
    expect(await refused(within({}), { headers })).toEqual({
      status: 403,
      text: 'requests of a pusher are not accepted',
      skipped: ['own'],
    });
  });

  test('has a body of unknown length', async () => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    const head = `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\ncontent-type: ${formType}\r\n\r\n`;
    client.send(`${head}${hello.length.toString(16)}\r\n${hello}\r\n0\r\n\r\n`);
    expect((await client.answer())?.status).toBe(411);
    expect(chatServer.packets).toEqual([]);
  });

  test('has a body that is too large, and the connection can be used again', async () => {
    await using chatServer = await startHttpSource({ attachment: { maxBodyBytes: hello.length } });
    using client = await openHttpConnection(chatServer.port);
    client.send(mongooseimPost(`${hello}!`));
    expect(await client.answer()).toMatchObject({ status: 413, body: `the body exceeds ${hello.length} bytes` });
    client.send(mongooseimPost(hello));
    expect((await client.answer())?.status).toBe(200);
    expect(chatServer.bodies()).toEqual(['Hi, Bob!']);
  });
});

describe('an attachment with credentials', () => {
  const attachment = { credentials: { username: 'mim', password: new Secret('s3:crét') } };
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

  test.each([
    ['no credentials', undefined, 401],
    ['a wrong password', basic('mim:wrong'), 401],
    ['a wrong name', basic('mimi:s3:crét'), 401],
    ['another scheme', 'Bearer s3:crét', 401],
    ['the right credentials', basic('mim:s3:crét'), 200],
    ['the right credentials with the scheme in another case', basic('mim:s3:crét').replace('Basic', 'bASIC'), 200],
  ])('with %s', async (_, authorization, status) => {
    await using chatServer = await startHttpSource({ attachment });
    const headers = { 'content-type': formType, ...(authorization === undefined ? {} : { authorization }) };
    const answer = await fetch(chatServer.address, { method: 'POST', headers, body: hello });
    expect(answer.status).toBe(status);
    expect(chatServer.skipped).toEqual(status === 401 ? ['unauthorized'] : []);
    expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Basic realm="xmpp-event-pusher", charset="UTF-8"' : null);
  });

  test('does not count unauthenticated requests against its rate limit', async () => {
    const rateLimit = { requests: 1, perMs: 10_000, burst: 1 };
    await using chatServer = await startHttpSource({ attachment: { ...attachment, rateLimit }, clock: createFakeClock() });
    const post = (authorization: string) =>
      fetch(chatServer.address, { method: 'POST', headers: { 'content-type': formType, authorization }, body: hello });
    expect((await post(basic('mim:wrong'))).status).toBe(401);
    expect((await post(basic('mim:s3:crét'))).status).toBe(200);
    expect((await post(basic('mim:s3:crét'))).status).toBe(429);
  });
});

test('at the rate limit the response has the time to wait', async () => {
  const clock = createFakeClock();
  await using chatServer = await startHttpSource({ attachment: { rateLimit: { requests: 1, perMs: 2500, burst: 2 } }, clock });
  const post = () => fetch(chatServer.address, { method: 'POST', headers: { 'content-type': formType }, body: hello });
  expect((await post()).status).toBe(200);
  expect((await post()).status).toBe(200);
  const limited = await post();
  expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '3']);
  expect(chatServer.skipped).toEqual(['rate-limited']);

  clock.advance(2500);
  expect((await post()).status).toBe(200);
});

describe('the listener', () => {
  test('attaches its hosts when it opens, and reports its address', async () => {
    await using chatServer = await startHttpSource({ attachment: { hosts: ['localhost', 'b.example'], path: '/in' } });
    const attached = () => chatServer.health.attached().map(({ host, attached }) => [host, attached]);
    expect(chatServer.notices).toEqual([`attachment chat accepts posts at http://127.0.0.1:${chatServer.port}/in`]);
    expect(attached()).toEqual([
      ['localhost', true],
      ['b.example', true],
    ]);

    await chatServer.source.stop();
    expect(attached()).toEqual([
      ['localhost', false],
      ['b.example', false],
    ]);
  });

  test('fails to start on an address that is in use', async () => {
    await using first = await startHttpSource();
    await expect(startHttpSource({ attachment: { listen: { host: '127.0.0.1', port: first.port } } })).rejects.toMatchObject({
      code: 'ATTACH_LISTEN_FAILED',
      message: `cannot listen on 127.0.0.1:${first.port}: another program listens there; stop it, or change [attach.chat] listen`,
    });
  });

  test('answers accepted requests before it stops, and closes idle connections', async () => {
    const disk = createDeferred<void>();
    await using chatServer = await startHttpSource({ disk: () => disk.promise, timers: createFakeTimers() });
    using idle = await openHttpConnection(chatServer.port);
    idle.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await idle.answer();
    using busy = await openHttpConnection(chatServer.port);
    busy.send(mongooseimPost(hello));
    await eventually(() => chatServer.packets.length === 1);

    const stopped = chatServer.source.stop();
    await eventually(() => idle.closed);
    disk.resolve();
    const answer = await busy.answer();
    expect([answer?.status, answer?.headers.get('connection')]).toEqual([200, 'close']);
    await stopped;
  });

  test('accepts nothing while it stops, and does not wait forever', async () => {
    const timers = createFakeTimers();
    await using chatServer = await startHttpSource({ timers });
    using slow = await openHttpConnection(chatServer.port);
    using slower = await openHttpConnection(chatServer.port);
    const [head = ''] = mongooseimPost(hello).split(hello);
    slow.send(head);
    slower.send(head);
    const stopped = chatServer.source.stop();
    slow.send(hello);
    expect(await slow.answer()).toMatchObject({ status: 503 });
    expect(chatServer.packets).toEqual([]);

    await eventually(() => timers.pending === 1);
    timers.fire();
    await stopped;
    await eventually(() => slower.closed);
  });

  test.concurrent.each([
    ['sends nothing', ''],
    ['does not end its headers', 'POST / HTTP/1.1\r\nHost: x\r\n'],
    ['does not send its body', mongooseimPost(hello).slice(0, -1)],
    ['does not finish a body that is too large', mongooseimPost('x'.repeat(70_000)).slice(0, -1)],
  ])('closes the connection of a client that %s', async (_, bytes) => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    client.send(bytes);
    await eventually(() => client.closed);
    expect(chatServer.packets).toEqual([]);
  });

  test('keeps no connection of an unauthenticated client', async () => {
    await using chatServer = await startHttpSource({ attachment: { credentials: { username: 'mim', password: new Secret('s3cret') } } });
    using client = await openHttpConnection(chatServer.port);
    const bytes = mongooseimPost(hello);
    client.send(bytes.slice(0, -1));
    client.send(bytes.slice(-1));
    const answer = await client.answer();
    expect([answer?.status, answer?.headers.get('connection')]).toEqual([401, 'close']);
    await eventually(() => client.closed);
  });

  test('continues after a client that disconnects within a request', async () => {
    await using chatServer = await startHttpSource();
    const gone = await openHttpConnection(chatServer.port);
    gone.send(mongooseimPost(hello).slice(0, -5));
    gone[Symbol.dispose]();
    using client = await openHttpConnection(chatServer.port);
    client.send('this is no HTTP\r\n\r\n');
    await eventually(() => client.closed);
    using other = await openHttpConnection(chatServer.port);
    other.send(mongooseimPost(hello));
    expect((await other.answer())?.status).toBe(200);
  });
});

/** Posts, and returns the response. */
async function refused(
  body: Buffer | string,
  { headers = { 'content-type': formType }, path = '/' }: { readonly headers?: Record<string, string>; readonly path?: string } = {},
) {
  await using chatServer = await startHttpSource();
  const answer = await fetch(new URL(path, chatServer.address), { method: 'POST', headers, body });
  return { status: answer.status, text: await answer.text(), skipped: chatServer.skipped };
}
