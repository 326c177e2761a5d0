import { describe, expect, test } from 'vitest';
import type { PoolThreadSettings } from '../../pools/contract.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import { eventually } from '../support/eventually.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import { type Answer, freePort, startTarget } from '../support/target.ts';

describe.each(['undici', 'got'] as const)('the %s client', (client) => {
  const settingsFor = (target: { readonly origin: string }, settings: Partial<Omit<PoolThreadSettings, 'tls'>> = {}) =>
    makeThreadSettings({ client, origin: target.origin, ...settings });

  test('reports status, retry-after and the beginning of the body', async () => {
    const answer: Answer = { kind: 'answer', status: 503, headers: [['Retry-After', '120']], body: 'too much' };
    await using target = await startTarget({ script: () => answer });
    await using thread = serveHere(settingsFor(target));

    expect(await thread.deliver(makeJob())).toMatchObject({
      kind: 'answered',
      status: 503,
      retryAfter: '120',
      excerpt: 'too much',
      truncated: false,
    });
  });

  test('sends a GET with a body, and one without', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settingsFor(target));
    for (const body of ['', 'a body']) expect(await thread.deliver(makeJob({ method: 'GET', body }))).toMatchObject({ status: 200 });
    expect(target.requests.map((request) => request.header('content-length'))).toEqual([undefined, '6']);
  });

  test('reports the whole body up to max_response_size if the job wants it', async () => {
    const body = Buffer.concat([Buffer.from('ä'), Buffer.alloc(3000, 'b')]);
    await using target = await startTarget({ script: () => ({ kind: 'answer', body }) });
    await using thread = serveHere(settingsFor(target, { maxResponseBytes: 3002 }));
    expect(await thread.deliver(makeJob({ wantsBody: true }))).toMatchObject({ body: `ä${'b'.repeat(3000)}`, truncated: false });
    expect(await thread.deliver(makeJob())).not.toHaveProperty('body');

    await using tight = serveHere(settingsFor(target, { maxResponseBytes: 3001 }));
    expect(await tight.deliver(makeJob({ wantsBody: true }))).toMatchObject({ status: 200, truncated: true });
  });

  test('applies the time limit of a job in place of those of the pool', async () => {
    await using target = await startTarget({ script: () => ({ kind: 'answer', delayMs: 300 }) });
    await using patient = serveHere(settingsFor(target, { requestTimeoutMs: 50, callTimeoutMs: 50 }));
    const within = (ms: number) => ({ until: Date.now() + ms, atMostMs: 10_000 });
    expect(await patient.deliver(makeJob({ within: within(10_000) }))).toMatchObject({ kind: 'answered' });
    expect(await patient.deliver(makeJob({ within: within(60) }))).toMatchObject({ kind: 'timed-out' });
    expect(await patient.deliver(makeJob({ within: { until: Date.now() + 10_000, atMostMs: 60 } }))).toMatchObject({ kind: 'timed-out' });
  });

  test('sends nothing for a job whose time is up', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settingsFor(target));
    const late = await thread.deliver(makeJob({ within: { until: Date.now() - 1, atMostMs: 5000 } }));
    expect(late).toEqual({ kind: 'timed-out', phase: 'call', durationMs: 0 });
    expect(target.requests).toEqual([]);
    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered' });
  });

  test('keeps the first KiB of a body, and replaces invalid UTF-8', async () => {
    const body = Buffer.concat([Buffer.from([0x61, 0xff]), Buffer.alloc(3000, 'b')]);
    await using target = await startTarget({ script: () => ({ kind: 'answer', body }) });
    await using thread = serveHere(settingsFor(target));

    const outcome = await thread.deliver(makeJob());

    expect(outcome).toMatchObject({ kind: 'answered', retryAfter: undefined, excerpt: `a\ufffd${'b'.repeat(1022)}` });
  });

  test.each<readonly [string, string | Uint8Array]>([
    ['text as UTF-8', 'message=Grüße 🎉'],
    ['bytes as they are', new Uint8Array([0, 255, 13, 10, 128])],
    ['a view into a larger buffer', new Uint8Array([9, 9, 1, 2, 3, 9]).subarray(2, 5)],
    ['an empty body', ''],
  ])('sends %s, with its length and never chunked', async (_what, body) => {
    await using target = await startTarget();
    await using thread = serveHere(settingsFor(target));

    await thread.deliver(makeJob({ body }));

    const [request] = target.requests;
    expect(request?.body).toEqual(Buffer.from(body));
    expect(request?.header('content-length')).toBe(String(Buffer.byteLength(body)));
    expect(request?.header('transfer-encoding')).toBeUndefined();
  });

  test('sends method, path and headers unchanged', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settingsFor(target));
    const headers = [
      ['X-First', 'Ä'],
      ['x-twice', '1'],
      ['X-Twice', '2'],
    ] as const;

    await thread.deliver(makeJob({ method: 'PUT', path: '/a/../b//c?d=%7e|e', headers }));

    const [request] = target.requests;
    expect(request).toMatchObject({ method: 'PUT', path: '/a/../b//c?d=%7e|e' });
    expect(request?.headers.filter(([name]) => name.toLowerCase().startsWith('x-'))).toEqual(headers);
    expect(request?.header('host')).toBe(`127.0.0.1:${target.port}`);
    expect(request?.header('user-agent')).toBe('xmpp-event-pusher/test');
    expect(request?.header('accept-encoding')).toBeUndefined();
  });

  test('does not follow a redirect', async () => {
    await using target = await startTarget({ script: () => ({ kind: 'answer', status: 307, headers: [['location', '/elsewhere']] }) });
    await using thread = serveHere(settingsFor(target));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 307 });
    expect(target.requests).toHaveLength(1);
  });

  test.each<readonly [string, Answer, number]>([
    ['a response after interim responses', { kind: 'answer', status: 201, interim: [102, 103] }, 201],
    ['a response without a body', { kind: 'answer', status: 204, body: '' }, 204],
    ['a response that closes the connection', { kind: 'answer', status: 200, close: true }, 200],
    ['a body in pieces', { kind: 'slow-body', chunks: ['o', 'k'], gapMs: 5 }, 200],
  ])('accepts %s', async (_what, answer, status) => {
    await using target = await startTarget({ script: () => answer });
    await using thread = serveHere(settingsFor(target));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status, truncated: false });
    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status, truncated: false });
  });

  test.each<readonly [string, Answer, string]>([
    ['resets the connection', { kind: 'reset' }, 'ECONNRESET'],
    ['closes without a response', { kind: 'half-close' }, 'ECONNRESET'],
    ['sends less than its content-length', { kind: 'answer', body: 'half', contentLength: 8, close: true }, 'ECONNRESET'],
    ['does not speak HTTP', { kind: 'garbage' }, expect.stringMatching(/^HPE_INVALID/)],
  ])('reports `broken` if the backend %s', async (_what, answer, code) => {
    await using target = await startTarget({ script: () => answer });
    await using thread = serveHere(settingsFor(target));

    const outcome = await thread.deliver(makeJob());

    expect(outcome).toMatchObject({ kind: 'broken', code, message: expect.stringMatching(/./) });
    expect(target.requests).toHaveLength(1);
  });

  test('reports `broken` if the connection is reset before the request is read', async () => {
    await using target = await startTarget({ onConnect: 'reset' });
    await using thread = serveHere(settingsFor(target));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'broken', code: expect.stringMatching(/ECONNRESET|EPIPE/) });
  });

  test('reports `unreachable` if nothing listens on the port', async () => {
    await using thread = serveHere(settingsFor({ origin: `http://127.0.0.1:${await freePort()}` }));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'ECONNREFUSED' });
  });

  test('reports which of several addresses refused', async () => {
    await using thread = serveHere(settingsFor({ origin: `http://localhost:${await freePort()}` }));

    expect(await thread.deliver(makeJob())).toMatchObject({ code: 'ECONNREFUSED', message: expect.stringContaining('ECONNREFUSED') });
  });

  test.each<readonly [Outcome & { kind: 'timed-out' } extends { phase: infer P } ? P : never, Answer | 'mute', object]>([
    ['connect', 'mute', { requestTimeoutMs: 60 }],
    ['headers', { kind: 'silent' }, { requestTimeoutMs: 60 }],
    ['body', { kind: 'slow-body', chunks: ['never'], gapMs: Number.POSITIVE_INFINITY }, { requestTimeoutMs: 60 }],
    ['call', { kind: 'silent' }, { callTimeoutMs: 60 }],
    [
      'call',
      { kind: 'slow-body', chunks: 'abcdefghijklmnopqrstuvwxyz'.split(''), gapMs: 50 },
      { callTimeoutMs: 700, requestTimeoutMs: 690 },
    ],
  ])('times out in phase %s (%j)', async (phase, answer, deadlines) => {
    const onConnect = answer === 'mute' ? { onConnect: answer } : { script: () => answer };
    await using target = await startTarget(onConnect);
    const origin = answer === 'mute' ? target.origin.replace('http:', 'https:') : target.origin;
    await using thread = serveHere(settingsFor({ origin }, deadlines));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'timed-out', phase });
    await eventually(() => target.counts.open === 0);
  });

  test('opens no connection after a request that timed out', async () => {
    await using target = await startTarget({ script: () => ({ kind: 'silent' }) });
    await using thread = serveHere(settingsFor(target, { requestTimeoutMs: 60 }));

    for (const key of [1, 2]) await thread.deliver(makeJob({ key }));
    await eventually(() => target.counts.open === 0);

    expect(target.counts.connections).toBe(2);
    expect(target.requests).toHaveLength(2);
  });

  test('does not count the wait for a worker', async () => {
    const held = createDeferred<Answer>();
    await using target = await startTarget({ script: ({ path }) => (path === '/held' ? held.promise : { kind: 'answer' }) });
    await using thread = serveHere(settingsFor(target, { workers: 1, callTimeoutMs: 600 }));

    const first = thread.deliver(makeJob({ key: 1, path: '/held' }));
    const second = thread.deliver(makeJob({ key: 2, path: '/waits' }));

    expect(await first).toMatchObject({ kind: 'timed-out', phase: 'call' });
    expect(await second).toMatchObject({ kind: 'answered', status: 200 });
    held.resolve({ kind: 'silent' });
  });

  test('reports the status of an oversized response, and closes the connection', async () => {
    await using target = await startTarget({ script: () => ({ kind: 'endless-body', status: 200 }) });
    await using thread = serveHere(settingsFor(target, { maxResponseBytes: 5000 }));

    const outcome = await thread.deliver(makeJob());

    expect(outcome).toMatchObject({ kind: 'answered', status: 200, truncated: true, excerpt: 'x'.repeat(1024) });
    await eventually(() => target.counts.open === 0);
  });

  test('reuses its connection', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settingsFor(target));

    for (let key = 1; key <= 5; key += 1) await thread.deliver(makeJob({ key }));

    expect(target.counts.connections).toBe(1);
  });

  test('closes its connection before the server would', async () => {
    await using target = await startTarget({ script: () => ({ kind: 'answer', headers: [['keep-alive', 'timeout=1']] }) });
    await using thread = serveHere(settingsFor(target));

    await thread.deliver(makeJob());

    await eventually(() => target.counts.open === 0);
  });

  test('sends a request that failed on a stale connection once more on a new one', async () => {
    await using target = await startTarget({
      script: ({ connection, position }) => (connection === 0 && position === 1 ? { kind: 'reset' } : { kind: 'answer' }),
    });
    await using thread = serveHere(settingsFor(target));

    await thread.deliver(makeJob({ key: 1 }));
    const outcome = await thread.deliver(makeJob({ key: 2 }));

    expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests.map(({ connection }) => connection)).toEqual([0, 0, 1]);
    expect(target.requests[2]?.headers).toEqual(target.requests[1]?.headers);
  });

  test('sends such a request no more than twice', async () => {
    await using target = await startTarget({ script: ({ path }) => (path === '/well' ? { kind: 'answer' } : { kind: 'half-close' }) });
    await using thread = serveHere(settingsFor(target));

    await thread.deliver(makeJob({ key: 1, path: '/well' }));
    const outcome = await thread.deliver(makeJob({ key: 2, path: '/dead' }));

    expect(outcome).toMatchObject({ kind: 'broken', code: 'ECONNRESET' });
    expect(target.requests.filter(({ path }) => path === '/dead')).toHaveLength(2);
  });

  test('does not repeat a request with a partial response', async () => {
    await using target = await startTarget({
      script: ({ path }) => (path === '/well' ? { kind: 'answer' } : { kind: 'answer', body: 'half', contentLength: 8, close: true }),
    });
    await using thread = serveHere(settingsFor(target));

    await thread.deliver(makeJob({ key: 1, path: '/well' }));
    const outcome = await thread.deliver(makeJob({ key: 2, path: '/half' }));

    expect(outcome).toMatchObject({ kind: 'broken', code: 'ECONNRESET' });
    expect(target.requests.map(({ path }) => path)).toEqual(['/well', '/half']);
  });

  test('never exceeds its workers, and reports fast responses while a slow one is pending', async () => {
    const slow = createDeferred<Answer>();
    const gate = createDeferred<Answer>();
    await using target = await startTarget({ script: ({ path }) => (path === '/slow' ? slow.promise : gate.promise) });
    await using thread = serveHere(settingsFor(target, { workers: 50 }));

    const reported: number[] = [];
    const jobs = Array.from({ length: 120 }, (_, key) => makeJob({ key, path: key === 7 ? '/slow' : '/fast' }));
    const all = jobs.map((job) => thread.deliver(job).then((outcome) => reported.push(job.key) && outcome));
    await target.received(50);
    gate.resolve({ kind: 'answer' });
    await eventually(() => reported.length === 119);

    expect(reported).not.toContain(7);
    expect(target.counts.peakUnanswered).toBe(50);
    expect(target.counts.peakOpen).toBe(50);
    slow.resolve({ kind: 'answer', status: 202 });
    expect((await Promise.all(all)).at(7)).toMatchObject({ kind: 'answered', status: 202 });
    expect(target.counts.connections).toBe(50);
  });

  test('takes jobs in order', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settingsFor(target, { workers: 1 }));

    await Promise.all(Array.from({ length: 20 }, (_, key) => thread.deliver(makeJob({ key, path: `/${key}` }))));

    expect(target.requests.map(({ path }) => path)).toEqual(Array.from({ length: 20 }, (_, key) => `/${key}`));
  });

  test('stops when the requests in progress have ended', async () => {
    const held = createDeferred<Answer>();
    await using target = await startTarget({ script: () => held.promise });
    const thread = serveHere(settingsFor(target));

    const outcome = thread.deliver(makeJob());
    await target.received(1);
    const stopped = thread.stop();
    held.resolve({ kind: 'answer', status: 200 });

    expect(await outcome).toMatchObject({ kind: 'answered', status: 200 });
    await stopped;
    await eventually(() => target.counts.open === 0);
  });
});
