import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../../src/kit/lifecycle.ts';
import { type Exit, noneExit } from '../../../src/sources/http/exits/exit.ts';
import type { Received } from '../../../src/sources/http/exits/request.ts';
import { SystemExit } from '../../../src/sources/http/exits/system-exit.ts';
import { eventually } from '../../support/eventually.ts';
import { makeDescriptor, startExitsSource } from '../../support/exits-source.ts';
import { createFakeTimers } from '../../support/fake-timers.ts';

const form = 'application/x-www-form-urlencoded';
const hello = 'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21';

describe('*SYSTEM in front of PUSH', () => {
  test('accepts a form, and responds with the id of the packet when it is on disk', async () => {
    const disk = createDeferred<void>();
    await using front = await startExitsSource({ disk: () => disk.promise, timers: createFakeTimers() });
    const answer = front.post(hello, form);
    await eventually(() => front.intake.uncommitted === 1);
    expect(front.stored).toEqual([]);

    disk.resolve();
    expect(await answer).toMatchObject({ status: 202, body: 'id-2\n' });
    expect((await answer)?.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(front.packets).toMatchObject([
      {
        id: 'id-2',
        direction: 'in',
        kind: 'message',
        host: 'localhost',
        origin: 'front',
        from: { full: 'alice@localhost' },
        to: { full: 'bob@localhost' },
      },
    ]);
    expect(front.packets[0]?.stanza.xml).toBe(
      '<message xmlns="jabber:client" type="chat" id="id-2" from="alice@localhost" to="bob@localhost"><body>Hi, Bob!</body></message>',
    );
    expect(front.stored.map(({ body }) => body)).toEqual([hello]);
  });

  test('accepts a JSON object, and responds in JSON', async () => {
    await using front = await startExitsSource();
    const message = { author: 'alice@localhost/phone', receiver: 'bob@elsewhere.example', message: 'żółć\n"quoted"', thread: 7 };
    const answer = await front.post(JSON.stringify(message), 'application/json');
    expect(answer).toMatchObject({ status: 202, body: '{"id":"id-2"}' });
    expect(answer?.headers.get('content-type')).toBe('application/json');
    expect(front.packets).toMatchObject([{ from: { full: 'alice@localhost/phone' }, to: { full: 'bob@elsewhere.example' } }]);
    expect(front.bodies()).toEqual(['żółć\n"quoted"']);
  });

  test('adds the first host to local parts if no server is given', async () => {
    await using front = await startExitsSource({ attachment: { hosts: ['one.example', 'two.example'] } });
    await front.post('author=alice&receiver=bob&message=1', form);
    await front.post('author=alice&server=two.example&receiver=bob&message=2', form);
    expect(front.packets.map(({ from, to }) => [from.bare, to.bare])).toEqual([
      ['alice@one.example', 'bob@one.example'],
      ['alice@two.example', 'bob@two.example'],
    ]);
  });

  test('accepts a text of several parts', async () => {
    await using front = await startExitsSource();
    const long = 'ż'.repeat(50_000);
    expect((await front.post(JSON.stringify({ author: 'a', receiver: 'b', message: long }), 'application/json'))?.status).toBe(202);
    expect(front.bodies()).toEqual([long]);
  });

  test.each([
    ['a missing field', 'author=alice&receiver=bob', form, 400, 'the field message is missing'],
    ['a duplicate field', `${hello}&author=eve`, form, 400, 'duplicate field author'],
    ['a broken escape', 'author=%4', form, 400, 'a %-escape is malformed or invalid in the charset'],
    ['an escape that is not UTF-8', 'author=%FF', form, 400, 'a %-escape is malformed or invalid in the charset'],
    ['a JSON list', '[1]', 'application/json', 400, 'the body is not a JSON object'],
    ['malformed JSON', '{', 'application/json', 400, 'the body is not a JSON object'],
    [
      'a sender of another host',
      'author=a&server=evil.example&receiver=b&message=x',
      form,
      403,
      'evil.example is not a host of this attachment',
    ],
    ['a sender that is not a JID', 'author=a%20b&receiver=b&message=x', form, 400, 'the sender is not a JID'],
    ['a receiver that is not a JID', 'author=a&receiver=%40&message=x', form, 400, 'the receiver is not a JID'],
    [
      'a character that XML cannot carry',
      'author=a&receiver=b&message=%00',
      form,
      400,
      'a part is not UTF-8, or contains a character that XML does not allow',
    ],
    ['a plain text, which is one part', 'Hi', 'text/plain', 400, 'the receiver is not a JID'],
  ])('refuses %s, and pushes nothing', async (_, body, type, status, text) => {
    await using front = await startExitsSource();
    expect(await front.post(body, type)).toMatchObject({ status, body: `${text}\n` });
    expect(front.packets).toEqual([]);
    expect(front.skipped).toHaveLength(1);
  });

  test('responds with 503 if the commit is late, and the packet is pushed once', async () => {
    const disk = createDeferred<void>();
    const timers = createFakeTimers();
    await using front = await startExitsSource({ disk: () => disk.promise, timers });
    const answer = front.post(hello, form);
    await eventually(() => timers.pending === 1);
    timers.fire();
    expect(await answer).toMatchObject({ status: 503, body: 'id-2 was accepted but not committed in time; it may still be pushed once\n' });
    disk.resolve();
    await front.intake.idle();
    expect(front.stored).toHaveLength(1);
  });

  test('accepts nothing while too much is waiting for the disk', async () => {
    const disk = createDeferred<void>();
    await using front = await startExitsSource({ disk: () => disk.promise, attachment: { maxUncommittedBytes: 1 } });
    const first = front.post(hello, form);
    await eventually(() => front.intake.uncommitted === 1);
    expect(await front.post(hello, form)).toMatchObject({ status: 503, body: 'not accepted: the service is overloaded or stopping\n' });
    disk.resolve();
    expect((await first)?.status).toBe(202);
  });
});

describe('*SYSTEM in front of a module unit', () => {
  test('passes each field as a part, in order, and returns its parts as lines', async () => {
    await using front = await startExitsSource({
      unit: async ({ mget, mput }) => {
        for (let part = await mget(); part !== undefined; part = await mget()) mput(`<${part}>`);
      },
    });
    expect(await front.post('b=2&a=1&c=', form)).toMatchObject({ status: 200, body: '<2>\n<1>\n<>\n' });
    const json = await front.post('{"n":1,"t":"x","o":{"p":[]},"nothing":null}', 'application/vnd.acme+json');
    expect(json?.body).toBe('{"parts":["<1>","<x>","<{\\"p\\":[]}>"]}');
    expect((await front.post('as it is', 'text/plain'))?.body).toBe('<as it is>\n');
  });

  test('passes all digits of numbers, and JSON unchanged', async () => {
    await using front = await startExitsSource({
      unit: async ({ mget, mput }) => {
        for (let part = await mget(); part !== undefined; part = await mget()) mput(`<${part}>`);
      },
    });
    const body = '{"id":9007199254740993,"o":{"n": 12345678901234567890},"t":true,"e":1e3,"f":0.10,"z":-0}';
    expect(JSON.parse((await front.post(body, 'application/json'))?.body ?? '').parts).toEqual([
      '<9007199254740993>',
      '<{"n": 12345678901234567890}>',
      '<true>',
      '<1000>',
      '<0.1>',
      '<0>',
    ]);
  });

  test.each([
    ['a fraction with more digits than a double has', '{"n":0.12345678901234567890}'],
    ['a number beyond all doubles', '{"n":1e999}'],
    ['a number of many digits and a fraction', `{"n":${'9'.repeat(500)}.5}`],
    ['a duplicate field', '{"n":"alice","n":"eve"}'],
    ['half of a surrogate pair', '{"n":"\\ud800"}'],
    ['deeply nested lists', `{"n":${'['.repeat(80_000)}${']'.repeat(80_000)}}`],
    ['a thousand and one fields', JSON.stringify(Object.fromEntries(Array.from({ length: 1001 }, (_, index) => [index, ''])))],
  ])('refuses %s', async (_, body) => {
    await using front = await startExitsSource({ unit: ({ mget }) => mget() });
    expect((await front.post(body, 'application/json'))?.status).toBe(400);
    expect((await front.post('{"n":1}', 'application/json'))?.status).toBe(200);
    expect(front.failed).toEqual([]);
  });

  test('accepts a byte order mark before JSON and a form', async () => {
    await using front = await startExitsSource();
    expect((await front.post('\ufeff{"author":"a","receiver":"b","message":"1"}', 'application/json'))?.status).toBe(202);
    expect((await front.post('\ufeffauthor=a&receiver=b&message=2', form))?.status).toBe(202);
    expect(front.bodies()).toEqual(['1', '2']);
  });

  test('pushes to the user with exactly the given number', async () => {
    await using front = await startExitsSource();
    await front.post('{"author":9007199254740993,"receiver":9007199254740995,"message":"Hi"}', 'application/json');
    expect(front.packets.map(({ from, to }) => [from.bare, to.bare])).toEqual([
      ['9007199254740993@localhost', '9007199254740995@localhost'],
    ]);
  });

  test('responds with 204 if the unit puts nothing', async () => {
    await using front = await startExitsSource({ unit: () => undefined });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 204, body: '' });
  });
});

test('the largest output of a unit takes about as much CPU time as copying it', async () => {
  const parts = Array.from({ length: 254 }, () => Buffer.alloc(32_767, 'x'));
  const received = { contentType: { media: 'text/plain', charset: undefined } } as Received;
  const cpuOf = async (exit: Exit) => {
    const before = process.cpuUsage();
    const output = await exit.output({ received, ca: {}, status: 200 }, parts);
    const { user, system } = process.cpuUsage(before);
    return { output, micros: user + system };
  };
  const unit = { kind: 'module', name: 'unit', url: 'file:///unit.mjs' } as const;
  await cpuOf(noneExit); // warm
  const plain = await cpuOf(noneExit);
  const { output, micros } = await cpuOf(new SystemExit({ unit }, 'localhost'));
  expect(output.kind === 'reply' && output.reply.body.equals(Buffer.from(`${'x'.repeat(32_767)}\n`.repeat(254)))).toBe(true);
  expect(micros).toBeLessThan(20 * plain.micros + 200_000);
});

test('STATUS reports the checks of /readyz', async () => {
  const descriptor = { unit: { kind: 'builtin', name: 'STATUS' }, path: '/status' } as const;
  await using front = await startExitsSource({ descriptor });
  expect(await front.ask({ method: 'GET', path: '/status' })).toMatchObject({
    status: 200,
    body: 'ready\nattachment front, host localhost: ready\nspool: ready\ndraining: ready\n',
  });
  front.events.emit('spool.writable', { writable: false, reason: 'the disk is full' });
  expect((await front.ask({ method: 'GET', path: '/status' }))?.body).toContain('not ready\n');
  expect((await front.ask({ method: 'POST', path: '/status' }))?.headers.get('allow')).toBe('GET, HEAD');
});

test('*NONE passes the body unchanged, in parts of at most 32767 bytes, and the output unchanged', async () => {
  const lengths: number[] = [];
  await using front = await startExitsSource({
    descriptor: makeDescriptor({ exit: { kind: 'none' }, tac: 'UNIT', unit: { kind: 'module', name: 'unit', url: 'file:///unit.mjs' } }),
    unit: async ({ mget, mput }) => {
      for (let part = await mget(); part !== undefined; part = await mget()) {
        lengths.push(part.length);
        mput(part.subarray(0, 1));
      }
    },
  });
  const answer = await front.post(Buffer.alloc(70_000, 'x'), 'application/json');
  expect(lengths).toEqual([32_767, 32_767, 4466]);
  expect(answer).toMatchObject({ status: 200, body: 'xxx' });
  await front.post('', 'text/plain');
  expect(lengths.at(-1)).toBe(0);
  expect((await front.post(Buffer.from([0xff]), 'text/plain'))?.headers.get('content-type')).toBe('application/octet-stream');
});
