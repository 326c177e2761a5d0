/** The callbacks at delivery in the built service, in a pool thread and with a spool. */
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import type { Answer } from '../support/target.ts';

/** Writes its calls to a file next to it. */
const module = `
import { appendFileSync } from 'node:fs';
import { HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, DELIVERY_SUCCESS, DELIVERY_TEMPFAILED } from 'xmpp-event-pusher/callbacks';
const told = new URL('./told.txt', import.meta.url);
const tell = (text) => appendFileSync(told, text + '\\n');

export const shouldMakeReq = () => true;
export function buildRequest({ request, message }) {
  const seen = Number(message.context.get('seen') ?? 0) + 1;
  message.context.set('seen', String(seen));
  request.headers['x-seen'] = String(seen);
  request.headers['x-body'] = message.packet.text('body');
  return HTTP_INTERNAL_CONT;
}
export function handleResponse({ response, message }) {
  message.context.set('DLV_RESPONSE_STATUS', response.headers['x-notificationstatus'] === 'suppressed' ? '406' : '200');
  message.context.set('DLV_RESPONSE_STATUS_DETAIL', 'as its header says');
  return HTTP_INTERNAL_DONE;
}
export const statusClassifier = (status) => (status === 200 ? DELIVERY_SUCCESS : DELIVERY_TEMPFAILED);
export const disposeTempfail = ({ id }) => tell('tempfail ' + id);
export const disposeDelivery = ({ id }) => tell('delivery ' + id);
export const disposePermfail = ({ id }) => tell('permfail ' + id);
`;

const handlers = '[[modules.mod_event_pusher.backend.http]]\nname = "own"\npath = "/notifications"\ncallback_module = "own"\n';

test('judge a response, keep their context over attempts and a kill, and receive the stored disposition', async () => {
  await using chat = await startScriptedChat();
  let suppressed = true;
  const script = (): Answer => ({ kind: 'answer', headers: suppressed ? [['x-notificationstatus', 'suppressed']] : [] });
  const pool = `retry.schedule = ["100ms", "100ms"${', "1s"'.repeat(60)}]`;
  await using rig = await startPushRig(chat.server.port, { script, handlers, pool, files: { 'own.mjs': module } });
  await appendFile(join(rig.pusher.folder, 'told.txt'), '');
  const told = async () => (await readFile(join(rig.pusher.folder, 'told.txt'), 'utf8')).split('\n').slice(0, -1);

  chat.say('hello');
  await rig.backend.received(2);
  await eventually(async () => expect((await told()).length).toBeGreaterThanOrEqual(1));
  await rig.pusher.kill();
  const before = rig.backend.requests.length;
  suppressed = false;
  await rig.pusher.start();
  await rig.settled(1);
  await eventually(async () => expect((await told()).at(-1)).toMatch(/^delivery /));

  const seen = rig.backend.requests.map((request) => Number(request.header('x-seen')));
  expect(seen.slice(0, 2)).toEqual([1, 2]);
  expect(seen[before]).toBeGreaterThanOrEqual(2);
  expect(rig.backend.requests.every((request) => request.header('x-body') === 'hello')).toBe(true);
  const ids = new Set(rig.backend.requests.map((request) => request.header('webhook-id')));
  expect(ids.size).toBe(1);
  expect((await told()).filter((line) => line.startsWith('delivery'))).toEqual([`delivery ${[...ids][0]}`]);
  const [line] = await rig.pusher.logged('attempt.ended', 1);
  expect(line?.['judgement']).toMatchObject({ verdict: 'tempfailed', status: 406, detail: 'as its header says', origin: 'module' });
});

test('that fail cause a dead letter or a retry, never a delivery', async () => {
  await using chat = await startScriptedChat();
  const broken = "export const shouldMakeReq = () => true;\nexport const handleResponse = () => { throw new Error('no idea'); };\n";
  const pool = 'retry.schedule = ["50ms"]';
  await using rig = await startPushRig(chat.server.port, { handlers, pool, files: { 'own.mjs': broken } });
  chat.say('hello');
  await eventually(async () =>
    expect(await rig.metric('event_pusher_dead_letters_total{pool="http_pool",reason="attempts-exhausted"}')).toBe(1),
  );
  expect(rig.backend.requests).toHaveLength(2);
  expect(await rig.metric('event_pusher_delivery_callback_failures_total{handler="own",callback="handleResponse"}')).toBe(2);
  expect(await rig.metric('event_pusher_breaker_state{pool="http_pool",handler="own"}')).toBe(0);
  expect(JSON.stringify(rig.pusher.log)).not.toContain('no idea');
});
