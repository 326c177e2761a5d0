import { expect, test } from 'vitest';
import { acceptedAt, makeDelivery, makeEntry } from '../../spool/build.ts';
import { appendTo } from '../../support/spool-promises.ts';
import { startApi } from './ask-api.ts';

test('an erasure removes what the spool and the memory have of a user', async () => {
  const { post, spool, events, dependencies } = await startApi();
  await appendTo(spool, makeEntry([makeDelivery({ id: 'waiting' }), makeDelivery({ id: 'other', receiver: 'carol@localhost' })]));
  events.emit('push.withheld', { ...makeDelivery({ id: 'withheld' }), why: 'refused', errCode: 1, errMsg: '', errDlt: '' });
  const shared = { deadLetters: 0, records: 0, held: 0, next: null };
  expect(await post('/erase', { jid: 'BOB@localhost', dryRun: true })).toMatchObject({ status: 200, body: { waiting: 1, file: null } });
  const before = new Date(acceptedAt).toISOString();
  const erased = { waiting: 1, withheld: 1, file: 'rewritten', before, ...shared };
  expect(await post('/erase', { jid: 'BOB@localhost' })).toEqual({ status: 200, body: erased });
  expect(dependencies.withheld.list()).toEqual([]);
  expect(spool.stats().depths).toMatchObject([{ waiting: 1 }]);
});

test('an erasure that fails is logged with what it has erased, and one that is refused is not', async () => {
  const { post, spool, events, notices } = await startApi();
  events.emit('push.withheld', { ...makeDelivery({ id: 'withheld' }), why: 'refused', errCode: 1, errMsg: '', errDlt: '' });
  expect(await post('/erase', { jid: 'bob@localhost', cursor: 'x' })).toMatchObject({ status: 400 });
  expect(notices).toEqual([]);
  await spool.stop();
  expect((await post('/erase', { jid: 'bob@localhost' })).status).toBeGreaterThanOrEqual(500);
  expect(notices).toEqual([expect.stringMatching(/: erased 0 waiting .* and 1 withheld pushes of a user, and then failed$/)]);
});

test.each([
  [{}, 'jid: received nothing, expected a bare JID'],
  [{ jid: '' }, 'a bare JID such as'],
  [{ jid: 'bob@localhost/phone' }, 'a bare JID such as'],
  [{ jid: 7 }, 'a bare JID such as'],
  [{ jid: 'bob@localhost', cursor: 'x' }, 'begin the erasure again'],
])('the erasure %j is refused', async (body, message) => {
  const { post } = await startApi();
  const refused = await post('/erase', body);
  expect(refused.status).toBe(400);
  expect(refused.body.message).toContain(message);
});

test('an erasure needs a token that may operate and see content', async () => {
  const { post } = await startApi({ token: 'secret' });
  expect(await post('/erase', { jid: 'bob@localhost' })).toMatchObject({ status: 403, body: { code: 'CONTENT_HIDDEN' } });
});
