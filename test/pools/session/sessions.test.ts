import { describe, expect, test } from 'vitest';
import { type DeliveryCallbacks, DLV_RESPONSE_STATUS, HTTP_INTERNAL_CONT, HTTP_INTERNAL_FAIL } from '../../../pools/callbacks.ts';
import { createDeferred } from '../../../src/kit/lifecycle.ts';
import { eventually } from '../../support/eventually.ts';
import { makeJob } from '../../support/make-job.ts';
import { makeSelfSigned } from '../../support/self-signed.ts';
import { makeMessageJob, serveSessions } from '../../support/session-rig.ts';
import { startTarget, type Target, type TargetOptions } from '../../support/target.ts';

/** Callbacks that record their calls; those of `own` are called as well. */
function createDiary(own: DeliveryCallbacks = {}) {
  const entries: string[] = [];
  const noted =
    (name: keyof DeliveryCallbacks) =>
    (...given: [never, never]): never => {
      entries.push(name);
      return own[name]?.(...given) as never; // any value is passed on
    };
  const names = [
    'initSession',
    'buildRequest',
    'handleResponse',
    'resetRequest',
    'resetResponse',
    'resetSession',
    'destroySession',
  ] as const;
  const callbacks: DeliveryCallbacks = Object.fromEntries(names.map((name) => [name, noted(name)]));
  return { entries, callbacks };
}

const resets = ['resetRequest', 'resetResponse', 'resetSession'];
const message = ['buildRequest', 'handleResponse', ...resets];

describe.each(['undici', 'got'] as const)('a session over %s', (client) => {
  test('begins with its connection, is reset after each message, and ends with the connection', async () => {
    await using target = await startTarget();
    const { entries, callbacks } = createDiary();
    const thread = serveSessions(callbacks, { client, origin: target.origin });

    for (const key of [1, 2]) await thread.deliver(makeMessageJob({ key }));
    await eventually(() => entries.length === 11);
    expect(entries).toEqual(['initSession', ...message, ...message]);
    await thread.stop();

    expect(entries).toEqual(['initSession', ...message, ...message, 'destroySession']);
    expect(target.counts.connections).toBe(1);
  });

  test('begins after the TLS handshake', async () => {
    const identity = makeSelfSigned(['IP:127.0.0.1']);
    await using target = await startTarget({ tls: identity });
    const { entries, callbacks } = createDiary();
    await using thread = serveSessions(callbacks, { client, origin: target.origin, tls: { ca: identity.cert } });

    expect(await thread.deliver(makeMessageJob())).toMatchObject({ kind: 'answered', status: 200 });
    expect(entries.slice(0, 2)).toEqual(['initSession', 'buildRequest']);
  });

  test('does not begin if the TLS handshake fails', async () => {
    await using target = await startTarget({ tls: makeSelfSigned(['IP:127.0.0.1']) });
    const { entries, callbacks } = createDiary();
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    expect(await thread.judge(makeMessageJob())).toMatchObject({
      outcome: { kind: 'unreachable', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
      judgement: { verdict: 'unclassified', status: 592, origin: 'internal' },
    });
    expect(entries).toEqual([]);
  });

  test('keeps its userdata while the connection lasts, per handler, and that of request and response for one message', async () => {
    await using target = await startTarget({
      script: ({ position }) => ({ kind: 'answer', close: position === 1, headers: position === 1 ? [['connection', 'close']] : [] }),
    });
    const seen: unknown[] = [];
    const remember: DeliveryCallbacks = {
      buildRequest: (session) => {
        seen.push([session.userdata, session.request.userdata, session.response.userdata]);
        session.userdata = 'connection';
        session.request.userdata = 'request';
        session.response.userdata = 'response';
        return undefined;
      },
      resetSession: (session) => {
        seen.push([session.userdata, session.request.userdata, session.response.userdata]);
      },
    };
    await using thread = serveSessions(remember, { client, origin: target.origin, others: { second: remember } });

    for (const [key, handler] of ['notifications', 'second', 'notifications'].entries()) {
      await thread.deliver(makeMessageJob({ key, message: { handler } }));
    }
    await eventually(() => seen.length === 6);

    const after = ['connection', 'request', 'response'];
    const fresh = [undefined, undefined, undefined];
    expect(target.requests.map(({ connection }) => connection)).toEqual([0, 0, 1]);
    expect(seen).toEqual([fresh, after, fresh, after, fresh, after]);
  });

  test('has the same userdata with the next message on the connection', async () => {
    await using target = await startTarget();
    const counts: unknown[] = [];
    await using thread = serveSessions(
      {
        initSession: async (session) => {
          session.userdata = 0;
        },
        buildRequest: (session) => {
          session.userdata = Number(session.userdata) + 1;
          counts.push(session.userdata);
          return undefined;
        },
      },
      { client, origin: target.origin },
    );

    for (const key of [1, 2, 3]) await thread.deliver(makeMessageJob({ key }));

    expect(counts).toEqual([1, 2, 3]);
  });

  test('begins and ends for every handler of the pool', async () => {
    await using target = await startTarget();
    const first = createDiary();
    const second = createDiary();
    const thread = serveSessions(first.callbacks, { client, origin: target.origin, others: { second: second.callbacks } });

    await thread.deliver(makeJob({ key: 1 }));
    await thread.deliver(makeMessageJob({ key: 2, message: { handler: 'second' } }));
    await thread.stop();

    expect(first.entries).toEqual(['initSession', 'destroySession']);
    expect(second.entries).toEqual(['initSession', ...message, 'destroySession']);
    expect(target.counts.connections).toBe(1);
  });

  test('uses a connection that also carries jobs without a message', async () => {
    await using target = await startTarget();
    await using thread = serveSessions({ buildRequest: () => HTTP_INTERNAL_FAIL }, { client, origin: target.origin });

    await thread.deliver(makeMessageJob({ key: 1 })); // leaves an unused connection
    await thread.deliver(makeJob({ key: 2 }));
    await thread.deliver(makeJob({ key: 3 }));

    expect(target.requests.map(({ connection }) => connection)).toEqual([0, 0]);
    expect(target.counts.connections).toBe(1);
  });

  test('is reset before it is destroyed if its connection closes during a message', async () => {
    await using target = await startTarget({ script: () => ({ kind: 'reset' }) });
    const { entries, callbacks } = createDiary();
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    expect(await thread.judge(makeMessageJob())).toMatchObject({
      outcome: { kind: 'broken', code: 'ECONNRESET' },
      judgement: { verdict: 'unclassified', status: 594, origin: 'internal' },
    });
    await eventually(() => entries.includes('destroySession'));
    expect(entries).toEqual(['initSession', 'buildRequest', ...resets, 'destroySession']);
  });

  test.each<[string, TargetOptions, (target: Target) => void]>([
    ['the server closes it', {}, (target) => target.hangUp()],
    ['its keep-alive time ends', { script: () => ({ kind: 'answer', headers: [['Keep-Alive', 'timeout=1']] }) }, () => undefined],
  ])('ends with its idle connection when %s', async (_what, options, end) => {
    await using target = await startTarget(options);
    const { entries, callbacks } = createDiary();
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    await thread.deliver(makeMessageJob());
    await eventually(() => entries.includes('resetSession'));
    end(target);
    await eventually(() => entries.includes('destroySession'));

    expect(entries).toEqual(['initSession', ...message, 'destroySession']);
  });

  test('is replaced, and the request is built again, once, if its connection was stale', async () => {
    await using target = await startTarget({
      script: ({ connection, position }) => (connection === 0 && position === 1 ? { kind: 'reset' } : { kind: 'answer' }),
    });
    const { entries, callbacks } = createDiary();
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    await thread.deliver(makeMessageJob({ key: 1 }));
    const outcome = await thread.deliver(makeMessageJob({ key: 2 }));

    expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests.map(({ connection }) => connection)).toEqual([0, 0, 1]);
    await eventually(() => entries.length === 17);
    const secondTry = ['buildRequest', ...resets];
    expect(entries.slice(0, 10)).toEqual(['initSession', ...message, ...secondTry]);
    expect(entries.slice(10).filter((entry) => entry !== 'destroySession')).toEqual(['initSession', ...message]);
    expect(entries.filter((entry) => entry === 'destroySession')).toHaveLength(1);
  });

  test('that replaces another does not keep the status of the first request', async () => {
    await using target = await startTarget({
      script: ({ position }) => (position === 1 ? { kind: 'reset' } : { kind: 'answer' }),
    });
    let built = 0;
    await using thread = serveSessions(
      {
        buildRequest: ({ message: { context } }) => {
          built += 1;
          if (built === 2) context.set(DLV_RESPONSE_STATUS, '200');
          return built === 3 ? HTTP_INTERNAL_FAIL : HTTP_INTERNAL_CONT;
        },
      },
      { client, origin: target.origin },
    );

    await thread.deliver(makeMessageJob({ key: 1 }));

    expect((await thread.judge(makeMessageJob({ key: 2 }))).judgement).toMatchObject({ verdict: 'tempfailed', status: 597 });
    expect(built).toBe(3);
  });

  test('is replaced only once', async () => {
    await using target = await startTarget({ script: ({ path }) => (path === '/well' ? { kind: 'answer' } : { kind: 'half-close' }) });
    await using thread = serveSessions({}, { client, origin: target.origin });

    await thread.deliver(makeMessageJob({ key: 1, path: '/well' }));
    expect(await thread.deliver(makeMessageJob({ key: 2, path: '/dead' }))).toMatchObject({ kind: 'broken', code: 'ECONNRESET' });
    expect(target.requests.filter(({ path }) => path === '/dead')).toHaveLength(2);
  });

  test('is replaced if its connection closes while the request is built', async () => {
    await using target = await startTarget();
    const { entries, callbacks } = createDiary({
      buildRequest: async () => {
        if (target.counts.connections > 1) return undefined;
        target.hangUp();
        await eventually(() => target.counts.open === 0);
        for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate); // so that our end detects it
        return undefined;
      },
    });
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    expect(await thread.deliver(makeMessageJob())).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests.map(({ connection }) => connection)).toEqual([1]);
    await eventually(() => entries.length === 12);
    expect(entries.slice(0, 5)).toEqual(['initSession', 'buildRequest', ...resets]);
    expect(entries.filter((entry) => entry === 'destroySession')).toHaveLength(1);
  });

  test.each<[string, Required<DeliveryCallbacks>['initSession'], RegExp]>([
    ['returns HTTP_INTERNAL_FAIL', () => HTTP_INTERNAL_FAIL, /HTTP_INTERNAL_FAIL/],
    [
      'throws',
      () => {
        throw new Error('no key');
      },
      /^Error: no key$/,
    ],
    ['rejects', () => Promise.reject(new Error('no key')), /^Error: no key$/],
    ['never settles', () => new Promise(() => undefined), /no result within 50 ms/],
  ])('whose initSession %s carries no message: 597, and the connection is closed', async (_what, initSession, reported) => {
    await using target = await startTarget();
    const { entries, callbacks } = createDiary({ initSession });
    await using thread = serveSessions(
      { ...callbacks, statusClassifier: () => 2 },
      { client, origin: target.origin, settings: { callbackTimeoutMs: 50 } },
    );

    expect(await thread.judge(makeMessageJob())).toMatchObject({
      outcome: { kind: 'unsent' },
      judgement: { verdict: 'tempfailed', status: 597, origin: 'internal' },
    });
    await eventually(() => target.counts.open === 0);
    await eventually(() => entries.includes('destroySession'));
    expect(entries).toEqual(['initSession', 'destroySession']);
    expect(target.requests).toEqual([]);
    expect(thread.failures).toMatchObject([{ callback: 'initSession', id: undefined, message: expect.stringMatching(reported) }]);
  });

  test('is not affected by a failed initSession of another handler', async () => {
    await using target = await startTarget();
    const others = { second: { initSession: () => Promise.reject(new Error('no key')) } };
    await using thread = serveSessions({}, { client, origin: target.origin, others });

    expect(await thread.deliver(makeMessageJob({ key: 1 }))).toMatchObject({ kind: 'answered', status: 200 });
    expect(await thread.deliver(makeMessageJob({ key: 2, message: { handler: 'second' } }))).toMatchObject({ kind: 'unsent' });
    expect(await thread.deliver(makeMessageJob({ key: 3 }))).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test.each(['resetRequest', 'resetResponse', 'resetSession', 'destroySession'] as const)(
    'continues after a %s that throws',
    async (name) => {
      await using target = await startTarget();
      const { entries, callbacks } = createDiary({
        [name]: () => {
          throw new Error('nothing to reset');
        },
      });
      const thread = serveSessions(callbacks, { client, origin: target.origin });

      expect(await thread.judge(makeMessageJob())).toMatchObject({ outcome: { kind: 'answered' }, judgement: { verdict: 'unclassified' } });
      await thread.stop();

      expect(entries).toEqual(['initSession', ...message, 'destroySession']);
      expect(thread.failures).toMatchObject([{ callback: name, message: 'Error: nothing to reset' }]);
    },
  );

  test('takes its next message after the last one is over', async () => {
    await using target = await startTarget();
    const gate = createDeferred<void>();
    const { entries, callbacks } = createDiary({ resetSession: () => gate.promise });
    await using thread = serveSessions(callbacks, { client, origin: target.origin });

    await thread.deliver(makeMessageJob({ key: 1 }));
    const second = thread.deliver(makeMessageJob({ key: 2 }));
    await eventually(() => entries.includes('resetSession'));
    expect(target.requests).toHaveLength(1);
    gate.resolve();
    await second;

    expect(entries.slice(0, 8)).toEqual(['initSession', ...message, 'buildRequest', 'handleResponse']);
  });

  test('shows the response: status line, headers in lower case and joined, and the body up to the limit', async () => {
    await using target = await startTarget({
      script: () => ({
        kind: 'answer',
        status: 207,
        headers: [
          ['X-Twice', '1'],
          ['x-twice', '2'],
        ],
        body: 'a long body',
      }),
    });
    const seen: unknown[] = [];
    await using thread = serveSessions(
      {
        buildRequest: ({ response }) => void seen.push({ ...response }),
        handleResponse: ({ response }) => void seen.push({ ...response, headers: { ...response.headers } }),
      },
      { client, origin: target.origin, settings: { maxResponseBytes: 6 } },
    );

    await thread.deliver(makeMessageJob());

    expect(seen).toMatchObject([
      { statusCode: 0, statusReason: '', headers: {}, body: '', truncated: false },
      {
        statusCode: 207,
        statusReason: 'Scripted',
        headers: { 'x-twice': '1, 2', 'content-length': '11' },
        body: 'a long',
        truncated: true,
      },
    ]);
  });

  test('has the options of its handler, and properties that cannot be replaced', async () => {
    await using target = await startTarget();
    const seen: unknown[] = [];
    await using thread = serveSessions(
      {
        buildRequest: (session) => {
          seen.push(session.opts['mark'], Object.isFrozen(session.opts));
          Object.assign(session, { request: {} });
          return undefined;
        },
      },
      { client, origin: target.origin },
    );

    expect(await thread.deliver(makeMessageJob())).toMatchObject({ kind: 'unsent' });
    expect(seen).toEqual(['!', true]);
    expect(thread.failures).toMatchObject([{ callback: 'buildRequest', message: expect.stringMatching(/^TypeError/) }]);
  });

  test('sends nothing if the call times out while the request is built', async () => {
    await using target = await startTarget();
    const gate = createDeferred<void>();
    const settings = { callTimeoutMs: 60, requestTimeoutMs: 20 };
    await using thread = serveSessions(
      { buildRequest: () => gate.promise.then(() => undefined) },
      { client, origin: target.origin, settings },
    );

    const judged = thread.judge(makeMessageJob());
    setTimeout(() => gate.resolve(), 120);

    expect(await judged).toMatchObject({
      outcome: { kind: 'unsent' },
      judgement: { status: 597, origin: 'internal', verdict: 'tempfailed' },
    });
    expect(target.requests).toEqual([]);
  });

  test('may build a request for longer than request_timeout', async () => {
    await using target = await startTarget();
    const slowly = () => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 600));
    await using thread = serveSessions({ buildRequest: slowly }, { client, origin: target.origin, settings: { requestTimeoutMs: 500 } });

    expect(await thread.deliver(makeMessageJob())).toMatchObject({ kind: 'answered', status: 200 });
  });
});
