/** The built service without free file descriptors: its log, and the requests at its backend afterwards. */
import { expect, test } from 'vitest';
import { limitDescriptors } from '../support/descriptor-limit.ts';
import { startPushRig } from '../support/push-rig.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';

test('without descriptors it spends no attempt, opens no circuit breaker, reports once, and delivers afterwards', async () => {
  await using chat = await startScriptedChat();
  const script = () => ({ kind: 'answer', headers: [['connection', 'close']], close: true }) as const;
  const pool = 'retry.schedule = []\ncircuit_breaker = { min_attempts = 1 }';
  await using rig = await startPushRig(chat.server.port, { script, pool });
  await using limit = limitDescriptors(rig.pusher.pid);
  chat.say('first');
  await rig.settled(1);

  await limit.exhaust();
  for (const text of ['second', 'third', 'fourth']) chat.say(text);
  const said = await rig.pusher.said(({ event }) => event === 'pool.shortage');
  await limit.restore();
  await rig.settled(4);

  expect(said).toMatchObject({ level: 'error', pool: 'http_pool', state: 'began', reason: expect.stringContaining('EMFILE') });
  expect(rig.messages().sort()).toEqual(['first', 'fourth', 'second', 'third']);
  expect(rig.backend.requests.map((request) => request.header('event-pusher-attempt'))).toEqual(['1', '1', '1', '1']);
  expect(await rig.metric('event_pusher_local_shortages_total{pool="http_pool"}')).toBeGreaterThan(0);
  expect((await rig.pusher.logged('pool.shortage', 2)).map(({ state }) => state)).toEqual(['began', 'ended']);
  expect(rig.pusher.log.filter(({ event }) => event === 'breaker.state')).toEqual([]);
});
