/**
 * Random bytes as a response, in random pieces: the delivery gets an outcome that can be judged, no error escapes, and the worker
 * carries the next request.
 */
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HTTP_INTERNAL_CONT, type Session } from '../../pools/callbacks.ts';
import type { KeyedOutcome } from '../../pools/contract.ts';
import { classify } from '../../src/delivery/classify.ts';
import { decide } from '../../src/delivery/decide.ts';
import { effort, fuzzTimeoutMs } from '../sources/fuzz/effort.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { bytes } from '../support/misbehaviour.ts';
import { type ServedThread, serveHere } from '../support/pool-thread.ts';
import { byPath, type ScriptedBackend, startScriptedBackend } from '../support/scripted-backend.ts';
import { makeMessageJob, serveSessions } from '../support/session-rig.ts';
import type { Answer } from '../support/target.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const texts = (...values: readonly string[]) => fc.constantFrom(...values).map(latin1);
const anyBytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));

const statusLine = fc.oneof(
  { weight: 6, arbitrary: texts('HTTP/1.1 200 OK', 'HTTP/1.1 503 Busy', 'HTTP/1.1 429 Later', 'HTTP/1.0 200 OK', 'HTTP/1.1 204 None') },
  texts('HTTP/1.1 100 Continue', 'HTTP/1.1 101 Switch', 'HTTP/1.1 103 Early', 'HTTP/1.1 304 Same', 'HTTP/1.1 205 Reset'),
  texts(
    'HTTP/1.1 999 x',
    'HTTP/1.1 000 x',
    'HTTP/1.1 99 x',
    'HTTP/1.1 1000 x',
    'HTTP/1.1 -20 x',
    'HTTP/1.1 2x0 x',
    'HTTP/1.1',
    'HTTP/2 200',
  ),
  texts(
    'HTTP/1.1 200 \xff\xfe\x80',
    'HTTP/1.1 200',
    'HTTP/1.1 200 ',
    'http/1.1 200 OK',
    ' HTTP/1.1 200 OK',
    'ICY 200 OK',
    'RTSP/1.0 200 OK',
  ),
  anyBytes(40),
);
const header = fc.oneof(
  texts(
    'content-length: 5',
    'content-length: 0',
    'Content-Length: 5, 5',
    'content-length: -5',
    'content-length: +5',
    'content-length: 0x5',
  ),
  texts(
    'content-length: 18446744073709551616',
    'content-length: 99999999999',
    'content-length: ',
    'content-length: 5.0',
    'content-length : 5',
  ),
  texts(
    'transfer-encoding: chunked',
    'transfer-encoding: chunked, chunked',
    'transfer-encoding: gzip, chunked',
    'transfer-encoding: x',
    'te: x',
  ),
  texts(
    'retry-after: -1',
    'retry-after: 9e999',
    `retry-after: ${'9'.repeat(400)}`,
    'retry-after: \xff',
    'retry-after: Mon, 99 Foo',
    'retry-after: NaN',
  ),
  texts('connection: close', 'connection: keep-alive', 'connection: upgrade', 'connection: \xe4', 'upgrade: h2c', 'upgrade: websocket'),
  texts(
    'keep-alive: timeout=0',
    'keep-alive: timeout=-1',
    'keep-alive: timeout=99999999999999999999',
    'keep-alive: max=0',
    'keep-alive: \xff',
  ),
  texts('content-encoding: gzip', 'content-encoding: br', 'content-encoding: nonsense', 'content-type: text/html; charset=nonsense'),
  texts('set-cookie: a=\x7f', '__proto__: 1', 'constructor: 1', 'x: \x00', 'x: \x01', 'x\xff: 1', ': 1', 'x', ' folded', '\tfolded', 'x:'),
  texts('location: http://127.0.0.1:1/', 'location: \xff', 'trailer: content-length', 'www-authenticate: Basic', 'alt-svc: h3=":1"'),
  fc.nat(40_000).map((length) => latin1(`x: ${'y'.repeat(length)}`)),
  anyBytes(60),
);
const body = fc.oneof(
  texts('hello', 'he', 'hello and more', '', '{"a":', '\xef\xbb\xbf{}', '\xff\xfe\xfd'),
  texts(
    '5\r\nhello\r\n0\r\n\r\n',
    '5;a=b\r\nhello\r\n0\r\ncontent-length: 9\r\nx: \xff\r\n\r\n',
    '5\r\nhello\r\n',
    '-1\r\nhello\r\n0\r\n\r\n',
  ),
  texts(
    'ffffffffffffffffff\r\nhello',
    '5\nhello\n0\n\n',
    '5\r\nhello and more\r\n0\r\n\r\n',
    `5;${'x'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`,
  ),
  texts(
    '\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03broken',
    `0\r\n${'t: 1\r\n'.repeat(5000)}\r\n`,
    'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  ),
  anyBytes(3000),
);
const lineEnd = fc.oneof({ weight: 9, arbitrary: texts('\r\n') }, texts('\n', '\r', '\n\r'));

const wellFramed = fc
  .tuple(fc.array(fc.tuple(statusLine, fc.array(header, { maxLength: 6 }), lineEnd), { minLength: 1, maxLength: 3 }), body)
  .map(([heads, end]) =>
    Buffer.concat([...heads.flatMap(([line, headers, eol]) => [...[line, ...headers].flatMap((each) => [each, eol]), eol]), end]),
  );
const answers: fc.Arbitrary<Answer> = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: wellFramed }, anyBytes(500)),
    fc.array(fc.nat(), { maxLength: 4 }),
    fc.constantFrom('end', 'end', 'end', 'reset', 'stay'),
  )
  .map(([raw, cuts, afterwards]) => bytes(cut(raw, cuts), { gapMs: 1, ...(afterwards === 'stay' ? {} : { afterwards }) }));

function cut(raw: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...new Set(cuts.map((at) => at % (raw.length + 1))), raw.length].sort((one, other) => one - other);
  return places.slice(1).map((end, index) => raw.subarray(places[index], end));
}

const kinds = ['answered', 'broken', 'timed-out'];
const ways = ['undici', 'got', 'a session over undici', 'a session over got', 'an order'] as const;

describe.each(ways)('random response bytes to %s', (way) => {
  let backend: ScriptedBackend;
  let thread: ServedThread;
  let key = 0;
  const escaped: unknown[] = [];
  const catchEscaped = (thrown: unknown) => void escaped.push(thrown);

  beforeAll(async () => {
    process.on('uncaughtException', catchEscaped).on('unhandledRejection', catchEscaped);
    backend = await startScriptedBackend({ remembers: false });
    const client = way.endsWith('got') ? 'got' : 'undici';
    const settings = { requestTimeoutMs: 150, maxResponseBytes: 2000 };
    if (way === 'an order') thread = serveHere(makeThreadSettings({ ...settings, client: 'got', origin: '' }));
    else if (way.startsWith('a session'))
      thread = serveSessions({ handleResponse: readsAll }, { client, origin: backend.origin, settings });
    else thread = serveHere(makeThreadSettings({ ...settings, client, origin: backend.origin, workers: 1 }));
  });
  afterEach(() => {
    expect(escaped.splice(0)).toEqual([]);
  });
  afterAll(async () => {
    await thread.stop();
    await backend.stop();
    process.off('uncaughtException', catchEscaped).off('unhandledRejection', catchEscaped);
  });

  function judge(path: string): Promise<KeyedOutcome> {
    key += 1;
    if (way.startsWith('a session')) return thread.judge(makeMessageJob({ key, path }));
    const destination = { origin: backend.origin, allow: ['127.0.0.1'], ownOrigin: 'http://own.example' };
    return thread.judge(makeJob({ key, path, wantsBody: true, ...(way === 'an order' ? { destination } : {}) }));
  }

  /** Bytes after a response that arrive during the next request are read as its response by every HTTP/1.1 client. */
  async function carriesOn(): Promise<void> {
    for (let request = 1; request < 3; request += 1) {
      const { outcome } = await judge('/good');
      if (outcome.kind === 'answered' && outcome.excerpt === 'ok') return;
      expect(kinds).toContain(outcome.kind);
    }
    expect((await judge('/good')).outcome).toMatchObject({ kind: 'answered', status: 200, excerpt: 'ok' });
  }

  test(
    'its delivery gets an outcome, and the worker carries on',
    async () => {
      await fc.assert(
        fc.asyncProperty(answers, async (answer) => {
          backend.obey(byPath({ '/bad': answer }));
          const { outcome, judgement } = await judge('/bad');
          expect(kinds).toContain(outcome.kind);
          expect(JSON.parse(JSON.stringify(outcome))).toEqual(withoutUndefined(outcome));

          const verdict = classify(outcome, judgement, { lists: { accept: [], defer: [], refuse: [] }, now: 0 });
          const standing = { attempts: 1, createdAt: 0, failingSince: 0, inLane: true, context: {}, now: 0, random: () => 0.5 };
          const policy = { scheduleMs: [1000], jitter: 0, maxAgeMs: 86_400_000, holdMs: 30_000 };
          const disposition = decide(verdict, standing, policy);
          if (disposition.kind === 'retry') expect(disposition.notBefore).toBeLessThanOrEqual(3_600_000);

          await carriesOn();
          expect(escaped).toEqual([]);
        }),
        effort(120),
      );
    },
    fuzzTimeoutMs + 60_000,
  );
});

function readsAll({ response }: Session): typeof HTTP_INTERNAL_CONT {
  JSON.stringify([response.headers, response.body, response.statusReason]);
  return HTTP_INTERNAL_CONT;
}

function withoutUndefined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));
}
