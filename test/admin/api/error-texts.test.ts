/** Error texts of callbacks and answers of business servers may quote a message or an option. */
import { expect, test } from 'vitest';
import { ServiceError } from '../../../src/kit/errors.ts';
import { Secret } from '../../../src/kit/secret.ts';
import type { Judgement, Outcome } from '../../../src/model/attempt.ts';
import type { DeliveryId } from '../../../src/model/delivery.ts';
import type { PacketId } from '../../../src/model/packet.ts';
import { makeDelivery, makeEntry, makeSettlement } from '../../spool/build.ts';
import { appendTo, settleIn } from '../../support/spool-promises.ts';
import { startApi } from './ask-api.ts';

const quoted = 'cannot send Hi, Bob! with the key of the backend';
const authorization = 'Bearer sesame';

/** Dead letters, a withheld push and a failing test, each with a text that quotes content. */
async function startWithQuotes() {
  const api = await startApi({ token: 'sesame' });
  const { spool, events, addFailedPacket, dependencies, die } = api;
  await addFailedPacket({ id: 'born', detail: `prepareBody: ${quoted}` });
  await die({ id: 'module' }, { disposition: { kind: 'dead', reason: 'refused', detail: `status 406 ${quoted}` } });

  const outcome: Outcome = { kind: 'unsent', code: 'REQUEST_NOT_BUILT', message: `TypeError: ${quoted}`, durationMs: 1 };
  const judgement: Judgement = {
    ...{ verdict: 'permfailed', status: 597, detail: quoted, origin: 'internal', context: { kept: quoted }, awaitsDisposition: false },
  };
  const [claimed] = await appendTo(spool, makeEntry([makeDelivery({ id: 'unsent', lane: null })], { take: true }));
  const attempt = { number: 1, at: 0, outcome, judgement };
  await settleIn(
    spool,
    makeSettlement(claimed?.seq ?? 0, { kind: 'dead', reason: 'callback-failed', detail: outcome.message }, { attempt }),
  );

  events.emit('push.withheld', {
    ...{ id: 'a1' as DeliveryId, packetId: 'p1' as PacketId, handler: 'push', host: 'localhost', why: 'refused', errCode: 1 },
    ...{ facts: undefined, pool: 'pool', seenAt: 0, createdAt: 0 },
    ...{ sender: 'alice@localhost', receiver: 'bob@localhost', errMsg: quoted, errDlt: quoted },
  });
  Object.assign(dependencies.operations, {
    sendTest: async () => {
      throw new ServiceError('TEST_FAILED', `handler push made no request: prepareBody: ${quoted}`);
    },
  });
  return api;
}

test('error texts of callbacks are shown to callers that may see content, and to no others', async () => {
  const { get, post } = await startWithQuotes();
  const paths = ['/dead-letters', '/dead-letters/born', '/dead-letters/module', '/dead-letters/unsent', '/withheld'];
  for (const path of paths) {
    expect(JSON.stringify((await get(path)).body), path).not.toContain('Bob');
    expect(JSON.stringify((await get(path, { authorization })).body), path).toContain(quoted);
  }
  expect((await post('/send-test', { handler: 'push' })).body).toEqual({
    code: 'TEST_FAILED',
    message: 'handler push made no request; the reason is shown only to callers that may see content',
  });
  expect((await post('/send-test', { handler: 'push' }, { authorization })).body.message).toContain(quoted);
});

test('a caller that may not see a detail cannot find out by guessing it', async () => {
  const { get, post } = await startWithQuotes();
  const detail = `prepareBody: ${quoted}`;
  for (const guess of [detail, `${detail}!`]) {
    const answers = [
      await get(`/dead-letters?detail=${encodeURIComponent(guess)}`),
      await post('/dead-letters/replay', { filter: { detail: guess, reason: 'callback-failed' }, dryRun: true }),
      await post('/dead-letters/purge', { filter: { detail: guess }, dryRun: true }),
    ];
    expect(answers.map(({ body }) => body.code)).toEqual(Array(3).fill('CONTENT_HIDDEN'));
  }
  expect((await get(`/dead-letters?detail=${encodeURIComponent(detail)}`, { authorization })).body).toHaveLength(1);
  expect((await get('/dead-letters?detail=status%20422')).status).toBe(200);
});

test('the message of an internal error, which may quote its cause, is hidden', async () => {
  const { get, die } = await startApi({ token: 'sesame' });
  await die({ id: 'fault' }, { disposition: { kind: 'dead', reason: 'internal-error', detail: `error while settling it: ${quoted}` } });
  expect((await get('/dead-letters/fault')).body.detail).toBe('[hidden]');
  expect((await get('/dead-letters/fault', { authorization })).body.detail).toContain(quoted);
});

test('the service’s own texts are shown: the name of the failed callback, and the status', async () => {
  const { get } = await startWithQuotes();
  const details = (await get('/dead-letters')).body.map(({ id, detail }: Record<string, string>) => [id, detail]);
  expect(Object.fromEntries(details)).toEqual({
    born: 'prepareBody: [hidden]',
    module: 'status 406 [hidden]',
    unsent: '[hidden]',
  });
  const { history } = (await get('/dead-letters/unsent')).body;
  expect(history).toMatchObject([
    { outcome: { code: 'REQUEST_NOT_BUILT', message: '[hidden]' }, judgement: { status: 597, detail: '[hidden]' } },
  ]);
});

test('secrets are hidden in responses also from callers that may see content', async () => {
  const { get, die, redactor } = await startApi();

  redactor.add([new Secret('the key of the backend')]);
  await die({
    id: 'd1',
    body: Buffer.from(`ü ${quoted}`),
    target: { kind: 'http', method: 'POST', path: '/', headers: [['x-key', quoted]] },
  });
  const { body, target } = (await get('/dead-letters/d1?content=true')).body;
  expect(Buffer.from(body.data, 'base64').toString()).toBe('ü cannot send Hi, Bob! with [redacted]');
  expect(target.headers).toEqual([['x-key', 'cannot send Hi, Bob! with [redacted]']]);
});
