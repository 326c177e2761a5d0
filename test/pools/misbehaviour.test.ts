/**
 * Outcomes of attempts at misbehaving backends. In every row the only worker carries a plain request afterwards, and no
 * connection is left when the thread has stopped.
 */
import { describe, expect, test } from 'vitest';
import type { PoolThreadSettings } from '../../pools/contract.ts';
import { eventually } from '../support/eventually.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import {
  bytes,
  chunked,
  chunkedBadly,
  chunkedCutShort,
  endlessly,
  head,
  hugeHeaderLine,
  interimFlood,
  interimTorrent,
  okHead,
  resetWithinBody,
  resetWithinHead,
  retryAfter,
  status,
  tooManyHeaders,
  trickled,
} from '../support/misbehaviour.ts';
import { serveHere } from '../support/pool-thread.ts';
import { byPath, startScriptedBackend } from '../support/scripted-backend.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { type Answer, freePort, startTarget, type TargetOptions } from '../support/target.ts';

type Deadlines = Partial<Pick<PoolThreadSettings, 'callTimeoutMs' | 'maxResponseBytes' | 'requestTimeoutMs'>>;

/** Short for the test, long enough for a request on a busy machine. */
const briefMs = 400;
const shortTimeout: Deadlines = { requestTimeoutMs: briefMs };

const answered = (code: number, more: object = {}) => ({ kind: 'answered', status: code, ...more });
const timedOut = (phase: string) => ({ kind: 'timed-out', phase });
const broken = (code: RegExp) => ({ kind: 'broken', code: expect.stringMatching(code), message: expect.stringMatching(/./) });
const unreachable = (code: RegExp) => ({ kind: 'unreachable', code: expect.stringMatching(code), message: expect.stringMatching(/./) });

type Row = readonly [does: string, answer: Answer, expected: object, settings?: Deadlines];

/** Fills in the defaults. */
const rows = (table: readonly Row[]) =>
  table.map(([does, answer, expected, settings = {}]) => [does, { answer, expected, settings }] as const);

const inWords: readonly Row[] = [
  ...[200, 202, 226, 299].map((code): Row => [`accepts with ${code}`, status(code), answered(code)]),
  ...[300, 301, 302, 303, 305, 307, 308].map(
    (code): Row => [`redirects with ${code}`, status(code, [['location', 'http://127.0.0.1:1/']]), answered(code)],
  ),
  ...[400, 401, 403, 404, 407, 408, 409, 410, 413, 415, 417, 418, 421, 425, 426, 429, 499].map(
    (code): Row => [`declines with ${code}`, status(code), answered(code)],
  ),
  ...[500, 501, 502, 503, 504, 505, 507, 511, 520, 599].map((code): Row => [`fails with ${code}`, status(code), answered(code)]),
  ...[600, 799, 999].map((code): Row => [`makes ${code} up`, status(code), answered(code)]),
];

const inTime = [
  '120',
  '1.5',
  'Sun, 22 Nov 2099 03:44:00 GMT',
  'Thu, 01 Jan 1970 00:00:00 GMT',
  'in a while',
  '-1',
  '9'.repeat(400),
  '',
].map((wish): Row => [`asks to wait for '${wish.slice(0, 40)}'`, retryAfter(wish), answered(429, { retryAfter: wish })]);

const inBytes: readonly Row[] = [
  ['never responds', { kind: 'silent' }, timedOut('headers'), shortTimeout],
  ['never ends its head', bytes(['HTTP/1.1 200 OK\r\nx: 1\r\n']), timedOut('headers'), shortTimeout],
  ['sends its head one character at a time, forever', bytes(endlessly('x'), { gapMs: 20 }), broken(/^HPE_INVALID/)],
  [
    'sends one header after another, slowly, forever',
    bytes(['HTTP/1.1 200 OK\r\n', ...trickled('x: 1\r\n'.repeat(500))], { gapMs: 20 }),
    timedOut('headers'),
    shortTimeout,
  ],
  [
    'sends its body one character at a time, then stops',
    bytes([head('HTTP/1.1 200 OK', 'content-length: 100'), ...trickled('slowly')], { gapMs: 10 }),
    timedOut('body'),
    shortTimeout,
  ],
  [
    'sends its body one character at a time, forever',
    bytes(endlessly(head('HTTP/1.1 200 OK', 'content-length: 100000'), 'x'), { gapMs: 10 }),
    timedOut('call'),
    { callTimeoutMs: briefMs },
  ],
  [
    'sends a body without end, as fast as it is read',
    bytes(endlessly(head('HTTP/1.1 200 OK'), 'x'.repeat(65_536))),
    answered(200, { truncated: true, excerpt: 'x'.repeat(1024) }),
    { maxResponseBytes: 1_000_000 },
  ],
  ['sends chunks without end', { kind: 'endless-body', status: 503 }, answered(503, { truncated: true }), { maxResponseBytes: 5000 }],
  ['resets the connection', { kind: 'reset' }, broken(/^ECONNRESET$/)],
  ['resets the connection within the head of its response', resetWithinHead, broken(/^ECONNRESET$/)],
  ['resets the connection within the body of its response', resetWithinBody, broken(/^ECONNRESET$/)],
  ['closes its half of the connection without a response', { kind: 'half-close' }, broken(/^ECONNRESET$/)],
  ['closes within the head of its response', bytes(['HTTP/1.1 200 OK\r\nx'], { afterwards: 'end' }), broken(/^(ECONNRESET|HPE_INVALID)/)],
  ['declares more than it sends, and closes', bytes([okHead, 'o'], { gapMs: 5, afterwards: 'end' }), broken(/^ECONNRESET$/)],
  ['declares more than it sends, and waits', bytes([okHead, 'o']), timedOut('body'), shortTimeout],
  ['declares less than it sends', bytes([`${okHead}ok, and more`]), answered(200, { truncated: false })],
  ['declares a length that is not a number', bytes([head('HTTP/1.1 200 OK', 'content-length: two'), 'ok']), broken(/^HPE_INVALID/)],
  ['declares a negative length', bytes([head('HTTP/1.1 200 OK', 'content-length: -2'), 'ok']), broken(/^HPE_INVALID/)],
  [
    'announces two lengths',
    bytes([head('HTTP/1.1 200 OK', 'content-length: 2', 'content-length: 3'), 'ok']),
    broken(/^(ECONNRESET|HPE_UNEXPECTED_CONTENT_LENGTH)$/),
  ],
  [
    'announces a length and chunks',
    bytes([head('HTTP/1.1 200 OK', 'content-length: 2', 'transfer-encoding: chunked'), '2\r\nok\r\n0\r\n\r\n']),
    broken(/^(ECONNRESET|HPE_INVALID_TRANSFER_ENCODING)$/),
  ],
  ['declares a body with 204', bytes([head('HTTP/1.1 204 No Content', 'content-length: 2')]), answered(204)],
  ['sends a body with 204', bytes([`${head('HTTP/1.1 204 No Content', 'content-length: 2')}ok`]), answered(204)],
  ['sends 100 000 headers', tooManyHeaders, broken(/^HPE_HEADER_OVERFLOW$/)],
  ['sends a header of 1 MiB', hugeHeaderLine, broken(/^HPE_HEADER_OVERFLOW$/)],
  ['sends a header without a colon', bytes([head('HTTP/1.1 200 OK', 'no colon', 'content-length: 2'), 'ok']), broken(/^HPE_INVALID/)],
  ['speaks another protocol', { kind: 'garbage' }, broken(/^HPE_INVALID/)],
  ['speaks HTTP/2', bytes([Buffer.from('00000604000000000000030000006400', 'hex')]), broken(/^HPE_INVALID/)],
  ['has a status of two digits', bytes(['HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n']), broken(/^HPE_INVALID/)],
  [
    'sends many interim responses before the final one',
    { kind: 'answer', interim: Array.from({ length: 2000 }, () => 103) },
    answered(200),
  ],
  ['sends an unsolicited 100 (Continue)', { kind: 'answer', interim: [100] }, answered(200)],
  ['sends 100 (Continue) several times', { kind: 'answer', interim: [100, 103, 100, 102, 100] }, answered(200)],
  ['sends interim responses as fast as they are read', interimTorrent, broken(/^HPE_HEADER_OVERFLOW$/)],
  ['sends interim responses forever', interimFlood, timedOut('headers'), shortTimeout],
  ['sends chunks, with an extension and a trailer', chunked, answered(200, { excerpt: 'ok' })],
  ['sends a chunk size that is not a number', chunkedBadly, broken(/^HPE_INVALID/)],
  ['closes within a chunk', chunkedCutShort, broken(/^ECONNRESET$/)],
  ['declares that it closes, and does', { kind: 'answer', headers: [['connection', 'close']], close: true }, answered(200)],
  ['closes without declaring it', { kind: 'answer', close: true }, answered(200)],
  ['declares that it closes, and does not', { kind: 'answer', headers: [['connection', 'close']] }, answered(200)],
  [
    'ends its body by closing, as HTTP/1.0 does',
    bytes(['HTTP/1.0 200 OK\r\n\r\nok'], { afterwards: 'end' }),
    answered(200, { excerpt: 'ok' }),
  ],
  ['sends 101 and keeps the protocol', { kind: 'answer', status: 101 }, broken(/^ECONNRESET$/)],
  [
    'changes the protocol unasked',
    bytes([head('HTTP/1.1 101 Switching Protocols', 'connection: upgrade', 'upgrade: websocket')]),
    broken(/^ECONNRESET$/),
  ],
];

describe.each(['undici', 'got'] as const)('through %s, a backend that', (client) => {
  describe.each(['a fresh', 'a used'] as const)('on %s connection', (connection) => {
    test.each(rows([...inWords, ...inTime, ...inBytes]))('%s', async (_does, { answer, expected, settings }) => {
      await using backend = await startScriptedBackend({ script: byPath({ '/bad': answer }) });
      const thread = serveHere(makeThreadSettings({ client, origin: backend.origin, workers: 1, ...settings }));
      if (connection === 'a used') expect(await thread.deliver(makeJob({ key: 1 }))).toMatchObject(answered(200));

      expect(await thread.deliver(makeJob({ key: 2, path: '/bad' }))).toMatchObject(expected);
      expect(await thread.deliver(makeJob({ key: 3 }))).toMatchObject(answered(200));

      await thread.stop();
      await eventually(() => backend.counts.open === 0);
    });
  });
});

const good = makeSelfSigned(['IP:127.0.0.1']);
const expired = makeSelfSigned(['IP:127.0.0.1'], { expired: true });
const another = makeSelfSigned(['DNS:elsewhere.example']);
const trusted = { ca: [good, expired, another].map(({ cert }) => cert).join('\n') };

/** Failures before a request is read; the pool uses this scheme. */
interface Trouble {
  readonly is: string;
  readonly scheme: 'http' | 'https';
  readonly target: TargetOptions | 'absent';
  readonly expected: object;
  readonly settings?: Deadlines;
}

const failures: readonly Trouble[] = [
  { is: 'does not exist', scheme: 'http', target: 'absent', expected: unreachable(/^ECONNREFUSED$/) },
  { is: 'does not exist', scheme: 'https', target: 'absent', expected: unreachable(/^ECONNREFUSED$/) },
  { is: 'resets the connection before it reads', scheme: 'http', target: { onConnect: 'reset' }, expected: broken(/^(ECONNRESET|EPIPE)$/) },
  {
    is: 'resets the connection within the handshake',
    scheme: 'https',
    target: { onConnect: 'reset' },
    expected: unreachable(/^ECONNRESET$/),
  },
  { is: 'accepts and never reads', scheme: 'http', target: { onConnect: 'deaf' }, expected: timedOut('headers'), settings: shortTimeout },
  {
    is: 'accepts and never shakes hands',
    scheme: 'https',
    target: { onConnect: 'mute' },
    expected: timedOut('connect'),
    settings: shortTimeout,
  },
  { is: 'has a certificate that has expired', scheme: 'https', target: { tls: expired }, expected: unreachable(/^CERT_HAS_EXPIRED$/) },
  {
    is: 'has a certificate of another name',
    scheme: 'https',
    target: { tls: another },
    expected: unreachable(/^ERR_TLS_CERT_ALTNAME_INVALID$/),
  },
  {
    is: 'has a self-signed certificate',
    scheme: 'https',
    target: { tls: makeSelfSigned(['IP:127.0.0.1']) },
    expected: unreachable(/^DEPTH_ZERO_SELF_SIGNED_CERT$/),
  },
  {
    is: 'speaks HTTP on a TLS port',
    scheme: 'https',
    target: { onConnect: 'bad-request' },
    expected: unreachable(/^(EPROTO|ERR_SSL_)/),
  },
  { is: 'speaks TLS on an HTTP port', scheme: 'http', target: { tls: good }, expected: broken(/./) },
];

/** Larger than the buffers of a connection, so that the request is not written completely if the backend does not read it. */
const body = Buffer.alloc(8 * 1024 * 1024, 'x');

describe.each(['undici', 'got'] as const)('through %s, a backend that', (client) => {
  test.each(failures.map((failure) => [failure.is, failure.scheme, failure] as const))(
    '%s (asked over %s)',
    async (_is, scheme, failure) => {
      const { target, expected, settings = {} } = failure;
      const backend = target === 'absent' ? undefined : await startTarget(target);
      const port = backend?.port ?? (await freePort());
      const origin = `${scheme}://127.0.0.1:${port}`;
      const thread = serveHere(makeThreadSettings({ client, origin, workers: 1, tls: trusted, ...settings }));

      expect(await thread.deliver(makeJob({ key: 1, body }))).toMatchObject(expected);
      backend?.hear();
      await eventually(() => backend === undefined || backend.counts.open === 0);
      expect(backend?.requests ?? []).toHaveLength(0);

      await backend?.stop();
      await using healed = await startTarget({ port, ...(scheme === 'https' ? { tls: good } : {}) });
      expect(await thread.deliver(makeJob({ key: 2 }))).toMatchObject(answered(200));
      await thread.stop();
      await eventually(() => healed.counts.open === 0);
    },
  );

  test('has an unknown name', async () => {
    await using thread = serveHere(makeThreadSettings({ client, origin: 'http://backend.invalid', workers: 1 }));

    for (const key of [1, 2]) expect(await thread.deliver(makeJob({ key }))).toMatchObject(unreachable(/^(ENOTFOUND|EAI_AGAIN)$/));
  });
});
