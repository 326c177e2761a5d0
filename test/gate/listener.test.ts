import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { startGate } from '../support/gate.ts';
import { openHttpConnection } from '../support/http-connection.ts';
import { chat } from '../support/make-packet.ts';

const token = 's3same';

/** The bytes of a chat server's question; undefined headers are omitted. */
function question(xml: string | Buffer, headers: Readonly<Record<string, string | undefined>> = {}, line = 'POST /gate'): Buffer {
  const all = {
    host: 'localhost',
    authorization: `Bearer ${token}`,
    'content-type': 'application/xml; charset=utf-8',
    'event-pusher-host': 'localhost',
    'event-pusher-session': 'alice@localhost/phone',
    'content-length': String(Buffer.byteLength(xml)),
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}\r\n`]));
  return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${lines.join('')}\r\n`), Buffer.from(xml)]);
}

async function askOnce(bytes: Buffer, setting: Parameters<typeof startGate>[0] = {}) {
  await using gate = await startGate({ token, ...setting });
  const answered = gate.events.next('gate.answered');
  using client = await openHttpConnection(gate.port);
  client.send(bytes);
  return { answer: await client.answer(), event: await answered, asked: gate.asked };
}

describe('a question about a message', () => {
  test.each([
    [true, 204, '', 'allowed'],
    [undefined, 204, '', 'allowed'],
    [{ body: 'Grüße & 😀' }, 200, 'Grüße & 😀', 'changed'],
    [{ refuse: 'Nein, ähm…' }, 403, 'Nein, ähm…', 'refused'],
    [false, 403, 'This message was not accepted.', 'refused'],
  ] as const)('is answered according to the decision %j', async (given, status, body, kind) => {
    const { answer, event } = await askOnce(question(chat('Hi')), { gate: () => given });
    expect(answer).toMatchObject({ status, body });
    if (status !== 204) expect(answer?.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(event).toMatchObject({ answer: kind, reason: '' });
  });

  test('becomes a packet of direction in', async () => {
    const xml = "<message xmlns='jabber:client' to='bob@localhost'><body>Hi</body></message>";
    const { asked } = await askOnce(question(xml, { 'event-pusher-session': 'älice@localhost/phöne' }));
    expect(asked).toMatchObject([
      {
        acc: { id: 'packet-1', host: 'localhost', origin: 'gate', session: 'älice@localhost/phöne', kind: 'message', sessions: undefined },
        from: { full: 'älice@localhost/phöne' },
        to: { full: 'bob@localhost' },
        opts: { name: 'notifications' },
      },
    ]);
    expect(Object.keys(asked[0] ?? {}).sort()).toEqual(['acc', 'from', 'opts', 'packet', 'to']);
  });

  test('can follow another on the same connection', async () => {
    await using gate = await startGate({ token, gate: ({ packet }) => ({ body: packet.text('body').toUpperCase() }) });
    using client = await openHttpConnection(gate.port);
    for (const word of ['one', 'two']) client.send(question(chat(word)));
    expect([(await client.answer())?.body, (await client.answer())?.body]).toEqual(['ONE', 'TWO']);
  });

  test('is answered with 503 without a decision', async () => {
    const never = createDeferred<boolean>().promise;
    const { answer, event } = await askOnce(question(chat('Hi')), { timeoutMs: 5, gate: () => never });
    expect(answer?.status).toBe(503);
    expect(event).toMatchObject({ answer: 'failed', reason: 'the gate of handler notifications failed' });
  });
});

describe('an invalid question', () => {
  const longText = chat('x'.repeat(200_000));

  test.each<readonly [what: string, status: number, bytes: Buffer]>([
    ['without the token', 401, question(chat('Hi'), { authorization: undefined })],
    ['with another token', 401, question(chat('Hi'), { authorization: 'Bearer s3sam' })],
    ['with the token of another scheme', 401, question(chat('Hi'), { authorization: `Basic ${token}` })],
    ['from a web page', 401, question(chat('Hi'), { origin: 'http://evil.example' })],
    ['at another path', 404, question(chat('Hi'), {}, 'POST /gates')],
    ['with another method', 405, question('', {}, 'GET /gate')],
    ['of a foreign host', 421, question(chat('Hi'), { 'event-pusher-host': 'elsewhere.example' })],
    ['without a host', 421, question(chat('Hi'), { 'event-pusher-host': undefined })],
    ['without a length', 411, question('', { 'content-length': undefined })],
    ['that is too large', 413, question(longText)],
    ['of another type', 415, question(chat('Hi'), { 'content-type': 'text/xml' })],
    ['that is compressed', 415, question(chat('Hi'), { 'content-encoding': 'gzip' })],
    ['that is not XML', 400, question('<message')],
    ['that is two messages', 400, question(chat('Hi') + chat('Hi'))],
    ['that is not UTF-8', 400, question(Buffer.from(chat('é'), 'latin1'))],
    ['with a DOCTYPE', 400, question(`<!DOCTYPE x [<!ENTITY y "z">]>${chat('Hi')}`)],
    ['that is presence', 400, question("<presence xmlns='jabber:client'/>")],
    ['in another namespace', 400, question("<message xmlns='jabber:server'><body>Hi</body></message>")],
    ['in no namespace', 400, question('<message><body>Hi</body></message>')],
    ['about an error', 400, question("<message xmlns='jabber:client' type='error'><body>Hi</body></message>")],
  ])('is never answered as a refusal: %s', async (_, status, bytes) => {
    const { answer, event, asked } = await askOnce(bytes);
    expect(answer?.status).toBe(status);
    expect(event.answer).toBe('rejected');
    expect(event.reason).toBe(answer?.body);
    expect(asked).toEqual([]);
  });

  test('closes the connection only if the token is missing', async () => {
    await using gate = await startGate({ token });
    using stranger = await openHttpConnection(gate.port);
    stranger.send(question(chat('Hi'), { authorization: undefined }));
    expect((await stranger.answer())?.headers.get('connection')).toBe('close');
    using client = await openHttpConnection(gate.port);
    client.send(question('<message'));
    expect((await client.answer())?.headers.get('connection')).toBe('keep-alive');
  });
});

describe('the listener', () => {
  test('requires no token if none is configured', async () => {
    await using gate = await startGate();
    using client = await openHttpConnection(gate.port);
    client.send(question(chat('Hi'), { authorization: undefined }));
    expect((await client.answer())?.status).toBe(204);
  });

  test('reports that the port is in use', async () => {
    await using gate = await startGate();
    await expect(startGate({ port: gate.port })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${gate.port}: another program listens there; stop it, or change [gate] listen`,
    );
  });

  test('lets requests in progress end when it stops, and answers no new ones', async () => {
    const decision = createDeferred<boolean>();
    await using gate = await startGate({ token, gate: () => decision.promise });
    using client = await openHttpConnection(gate.port);
    using late = await openHttpConnection(gate.port);
    client.send(question(chat('Hi')));
    const whole = question(chat('late'));
    late.send(whole.subarray(0, -10));
    await gate.waits(1);
    const stopped = gate.stop();
    late.send(whole.subarray(-10));
    expect((await late.answer())?.status).toBe(503);
    decision.resolve(true);

    const answer = await client.answer();
    expect(answer?.status).toBe(204);
    expect(answer?.headers.get('connection')).toBe('close');
    await stopped;
    await expect(openHttpConnection(gate.port)).rejects.toThrow('ECONNREFUSED');
    expect(gate.bodies).toEqual(['Hi']);
  });
});
