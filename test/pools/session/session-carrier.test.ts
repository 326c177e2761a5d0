import { expect, test } from 'vitest';
import { type DeliveryCallbacks, HTTP_INTERNAL_FAIL } from '../../../pools/callbacks.ts';
import { makeJob, makeThreadSettings } from '../../support/make-job.ts';
import { serveHere } from '../../support/pool-thread.ts';
import { makeMessageJob, makeSessionHandler, serveSessions } from '../../support/session-rig.ts';
import { startTarget } from '../../support/target.ts';

test('the context is kept between attempts, without the status', async () => {
  await using target = await startTarget({ script: () => ({ kind: 'answer', status: 500 }) });
  const seen: unknown[] = [];
  await using thread = serveSessions(
    {
      buildRequest: ({ message: { context } }) => {
        seen.push(context.keys());
        context.set('tries', String(Number(context.get('tries') ?? 0) + 1));
        return undefined;
      },
    },
    { origin: target.origin },
  );

  const first = await thread.judge(makeMessageJob({ key: 1 }));
  const second = await thread.judge(makeMessageJob({ key: 2, attempt: 2, message: { context: first.judgement?.context ?? {} } }));

  expect(first.judgement).toMatchObject({ status: 500, context: { tries: '1' } });
  expect(second.judgement?.context).toEqual({ tries: '2' });
  expect(seen).toEqual([[], ['tries']]);
});

test('a job without a message calls only the callbacks of its connection', async () => {
  await using target = await startTarget();
  const refuse: DeliveryCallbacks = { buildRequest: () => HTTP_INTERNAL_FAIL, statusClassifier: () => 4 };
  await using thread = serveSessions(refuse, { origin: target.origin });

  expect(await thread.judge(makeJob())).toEqual({ key: 1, outcome: expect.objectContaining({ kind: 'answered', status: 200 }) });
});

test('a message of an unknown handler is not sent, and is retried later', async () => {
  await using target = await startTarget();
  await using thread = serveSessions({}, { origin: target.origin });

  expect(await thread.judge(makeMessageJob({ message: { handler: 'renamed', context: { a: '1' } } }))).toMatchObject({
    outcome: { kind: 'unsent', message: expect.stringContaining('renamed') },
    judgement: { verdict: 'tempfailed', status: 597, origin: 'internal', context: { a: '1' }, awaitsDisposition: false },
  });
  expect(target.requests).toEqual([]);
});

test('messages use as many connections as there are workers', async () => {
  await using target = await startTarget();
  await using thread = serveSessions({}, { origin: target.origin, settings: { workers: 4 } });

  const keys = Array.from({ length: 40 }, (_, key) => key);
  await Promise.all(keys.map((key) => thread.deliver(key % 2 === 0 ? makeMessageJob({ key }) : makeJob({ key }))));

  expect(target.requests).toHaveLength(40);
  expect(target.counts.peakOpen).toBeLessThanOrEqual(4);
});

test('a reported failure contains its location, and not the message', async () => {
  await using target = await startTarget();
  await using thread = serveSessions(
    {
      handleResponse: function judgeIt() {
        throw new TypeError('first line\nsecond line');
      },
    },
    { origin: target.origin },
  );

  await thread.judge(makeMessageJob());

  expect(thread.failures).toMatchObject([{ message: 'TypeError: first line\nsecond line', at: expect.any(Array) }]);
  expect(thread.failures[0]?.at[0]).toMatch(/^at .*judgeIt.*session-carrier\.test\.ts:\d+:\d+\)?$/);
  expect(thread.failures[0]?.at.length).toBeLessThanOrEqual(3);
});

test.each<[string, unknown]>([
  ['a text', 'no token'],
  ['undefined', undefined],
  ['an object without a prototype', Object.create(null)],
  ['a revoked proxy', revoked()],
  ['an error whose stack throws', unreadable()],
])('a callback may throw %s', async (_what, thrown) => {
  await using target = await startTarget();
  await using thread = serveSessions(
    {
      buildRequest: () => {
        throw thrown;
      },
    },
    { origin: target.origin },
  );

  expect(await thread.judge(makeMessageJob())).toMatchObject({ outcome: { kind: 'unsent' }, judgement: { status: 597 } });
  expect(thread.failures).toMatchObject([{ callback: 'buildRequest', message: expect.any(String), at: [] }]);
});

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function unreadable(): unknown {
  const stack = () => {
    throw new Error('on purpose');
  };
  return Object.defineProperty(new Error('x'), 'stack', { get: stack });
}

test('a thread ends with the problems of all modules', async () => {
  const handlers = ['first', 'second'].map(makeSessionHandler);
  const importModule = async (url: string) => Promise.reject(new Error(`${url} is not well`));
  const thread = serveHere(makeThreadSettings({ handlers }), importModule);

  await expect(thread.ended).rejects.toMatchObject({
    code: 'CALLBACK_LOAD_FAILED',
    message: expect.stringMatching(
      /^handler first \(first_module\): cannot import file:\/\/\/first\.mjs: Error: .* is not well.*\nhandler second \(second_module\): cannot import/,
    ),
  });
});
