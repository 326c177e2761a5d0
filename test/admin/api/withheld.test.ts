import { expect, test } from 'vitest';
import type { DeliveryId } from '../../../src/model/delivery.ts';
import type { PacketId } from '../../../src/model/packet.ts';
import type { Events } from '../../../src/telemetry/events.ts';
import { acceptedAt } from '../../spool/build.ts';
import { idsIn, startApi } from './ask-api.ts';

async function startWithheld(admission: Parameters<typeof startApi>[0] = {}) {
  const api = await startApi(admission);
  const withhold = (id: string, changes: Partial<Events['push.withheld']> = {}): void =>
    api.events.emit('push.withheld', {
      ...{ id: id as DeliveryId, packetId: 'p1' as PacketId, handler: 'push', host: 'localhost' },
      ...{
        facts: undefined,
        pool: 'pool',
        sender: 'alice@localhost',
        receiver: 'bob@localhost',
        seenAt: acceptedAt,
        createdAt: acceptedAt,
      },
      ...{ why: 'refused', errCode: 5001, errMsg: 'An error message', errDlt: 'Detailed error information' },
      ...changes,
    });
  return { ...api, withhold };
}

test('withheld pushes are listed with the texts of the business server, without JIDs', async () => {
  const { get, withhold, clock } = await startWithheld();
  withhold('a1');
  withhold('a2', { why: 'timed-out', errCode: null, errMsg: '', errDlt: '' });
  const shared = { packetId: 'p1', at: new Date(clock.now()).toISOString(), handler: 'push', host: 'localhost' };
  expect(await get('/withheld')).toEqual({
    status: 200,
    body: [
      { id: 'a1', ...shared, why: 'refused', errCode: 5001, errMsg: 'An error message', errDlt: 'Detailed error information' },
      { id: 'a2', ...shared, why: 'timed-out', errCode: null, errMsg: '', errDlt: '' },
    ],
  });
});

test('JIDs are shown to callers that may see content', async () => {
  const token = 'a-long-token';
  const { get, withhold } = await startWithheld({ token });
  withhold('a1');
  expect((await get('/withheld?content=true')).body).toMatchObject({ code: 'CONTENT_HIDDEN' });
  expect((await get('/withheld?content=true', { authorization: `Bearer ${token}` })).body).toMatchObject([
    { id: 'a1', sender: 'alice@localhost', receiver: 'bob@localhost' },
  ]);
});

test('the newest or the oldest pushes are listed, of one handler or host', async () => {
  const { get, withhold } = await startWithheld();
  withhold('a1');
  withhold('a2', { handler: 'other' });
  withhold('a3', { host: 'elsewhere.example' });
  expect(idsIn(await get('/withheld?limit=2'))).toEqual(['a2', 'a3']);
  expect(idsIn(await get('/withheld?limit=2&order=oldest'))).toEqual(['a1', 'a2']);
  expect(idsIn(await get('/withheld?handler=push'))).toEqual(['a1', 'a3']);
  expect(idsIn(await get('/withheld?host=localhost'))).toEqual(['a1', 'a2']);
});

test('a dead letter of a push shows the answer about it, and its receivers to callers that may see content', async () => {
  const { get, die } = await startWithheld();
  const answered = { kind: 'allowed', userIDList: ['carol'], offlinePushInfo: { title: 'T' } } as const;
  const target = { kind: 'http', method: 'POST', path: '/', headers: [], answered } as const;
  await die({ id: 'd1', target });
  await die({ id: 'd2', target: { ...target, answered: { kind: 'failed', reason: 'timed-out' } } });
  const shown = async (path: string) => (await get(`/dead-letters/${path}`)).body.target.answered;
  expect(await shown('d1')).toEqual({ result: 'allowed' });
  expect(await shown('d1?content=true')).toEqual({ result: 'allowed', userIDList: ['carol'], offlinePushInfo: { title: 'T' } });
  expect(await shown('d2')).toEqual({ result: 'failed', reason: 'timed-out' });
});
