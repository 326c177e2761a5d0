/** One backend hangs, refuses, or is down; the handler of another is not affected. A scripted chat server. */
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import { startScriptedBackend } from '../support/scripted-backend.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { freePort, type TargetOptions } from '../support/target.ts';

const total = 400;

const troubles: readonly (readonly [does: string, sick: TargetOptions | 'absent'])[] = [
  ['accepts and never answers', { script: () => ({ kind: 'silent' }) }],
  ['accepts and never reads', { onConnect: 'deaf' }],
  ['answers 503 to everything', { script: () => ({ kind: 'answer', status: 503 }) }],
  ['answers without end', { script: () => ({ kind: 'endless-body' }) }],
  ['resets every connection', { onConnect: 'reset' }],
  ['does not exist', 'absent'],
];

test.each(troubles)('next to a backend that %s, another receives each message once', async (_does, sick) => {
  await using healthy = await startScriptedBackend();
  await using sickOne = sick === 'absent' ? undefined : await startScriptedBackend(sick);
  await using chat = await startScriptedChat();
  await using rig = await startPushRig(chat.server.port, {
    backend: healthy,
    loglevel: 'warn',
    connection: `
[outgoing_pools.http.sick]
workers = 5
[outgoing_pools.http.sick.connection]
host = "${sickOne?.origin ?? `http://127.0.0.1:${await freePort()}`}"
request_timeout = 1000`,
    handlers: `
[[modules.mod_event_pusher.backend.http]]
path = "/notifications"
[[modules.mod_event_pusher.backend.http]]
pool_name = "sick"
path = "/sick"`,
  });
  for (let number = 0; number < total; number += 1) chat.say(String(number), `user${number % 100}`);

  await eventually(() => expect(healthy.sightings).toHaveLength(total));
  await eventually(() => expect(chat.server.acked).toBe(total));
  expect(new Set(rig.messages()).size).toBe(total);
  expect(await rig.metric('event_pusher_spool_depth{pool="http_pool",state="dead"}')).toBe(0);
});
