/** SIGHUP to the built service: changes applied during a stream of messages, and refused changes. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { eventually } from '../support/eventually.ts';
import { type PushRig, type PushRigOptions, startPushRig } from '../support/push-rig.ts';
import type { LogLine } from '../support/pusher.ts';
import { type ScriptedChat, startScriptedChat } from '../support/scripted-chat.ts';
import { type Answer, startTarget } from '../support/target.ts';

const handler = (name: string, more = '') => `[[modules.mod_event_pusher.http.handlers]]\nname = "${name}"\npath = "/${name}"\n${more}\n`;
const poolTable = (name: string, origin: string) =>
  `[outgoing_pools.http.${name}.connection]\nhost = "${origin}"\npath_prefix = "/webservice"\n`;

const steady = handler('steady');
const branded = handler('branded', 'callback_module = "branded"');

/** A callback module that imports its text from an ES module and a CommonJS module next to it. */
const modules = (version: string) => ({
  'branded.mjs': `import { brand } from './brand.mjs';\nimport mark from './mark.cjs';\nexport const prepareBody = ({ message }) => '${version}/' + brand + '/' + mark + '/' + message;`,
  'brand.mjs': `export const brand = '${version}';`,
  'mark.cjs': `module.exports = '${version}';`,
});

interface ReloadRig extends PushRig {
  /** Changes the files, sends SIGHUP, and returns the log line with the result. */
  reload(change: (text: string) => string, files?: Readonly<Record<string, string>>): Promise<LogLine>;
}

async function startRig(chat: ScriptedChat, options: PushRigOptions): Promise<ReloadRig> {
  const rig = await startPushRig(chat.server.port, { loglevel: 'info', ...options });
  const { folder, log } = rig.pusher;
  const reloads = () => log.filter((line) => line.event === 'config.reload');
  return {
    ...rig,
    reload: async (change, files = {}) => {
      const before = reloads().length;
      const file = join(folder, 'event-pusher.toml');
      await writeFile(file, change(await readFile(file, 'utf8')));
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      rig.pusher.signal('SIGHUP');
      return rig.pusher.said((line) => line.event === 'config.reload' && reloads().indexOf(line) >= before);
    },
  };
}

/** Users of many conversations send 1, 2, 3, …, each when nearly all earlier messages are acknowledged. */
function startStream({ server, say }: ScriptedChat) {
  let said = 0;
  let on = true;
  async function speak(): Promise<void> {
    while (on) {
      await eventually(() => server.acked > said - 10);
      said += 1;
      say(String(said), `user${said % 7}`);
    }
  }
  const speaking = speak();
  return {
    /** Resolves after this number of further messages. */
    goesOn: (count: number) => {
      const enough = said + count;
      return eventually(() => said >= enough);
    },
    /** Returns the number of sent messages. */
    stop: async () => {
      on = false;
      await speaking;
      return said;
    },
  };
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

function sorted(numbers: readonly number[]): number[] {
  return [...numbers].sort((one, other) => one - other);
}

async function owed({ pusher }: PushRig, pool: string): Promise<number> {
  const { text } = await pusher.get('/metrics');
  const samples = text.matchAll(new RegExp(`^event_pusher_spool_depth\\{pool="${pool}",state="(?:orphaned|waiting)"\\} (\\d+)$`, 'gm'));
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
}

test('under a stream of messages handlers, pools and modules change between two packets without loss', async () => {
  await using chat = await startScriptedChat();
  await using sick = await startTarget({ script: () => ({ kind: 'answer', status: 503 }) });
  const leaving = `${poolTable('old_pool', sick.origin)}${handler('leaving', 'pool_name = "old_pool"')}`;
  await using rig = await startRig(chat, { handlers: `${steady}${branded}${leaving}`, files: modules('old') });
  const stream = startStream(chat);
  await stream.goesOn(100);
  const delivered = 'event_pusher_deliveries_total{pool="http_pool",disposition="delivered"}';
  await eventually(async () => expect(await rig.metric(delivered)).toBeGreaterThan(0));

  const coming = `${poolTable('new_pool', rig.backend.origin)}${handler('coming', 'pool_name = "new_pool"')}`;
  const reloaded = await rig.reload((text) => text.replace(leaving, coming), modules('new'));
  expect(reloaded).toMatchObject({ level: 'info', result: 'applied' });
  expect(reloaded.msg).toContain('pools added new_pool, removed old_pool; handlers added coming, removed leaving');
  await stream.goesOn(100);
  const said = await stream.stop();
  await rig.settled(2 * said);

  const numbers = (brand: string) =>
    rig.bodies('branded').flatMap((body) => (body.startsWith(`${brand}/${brand}/${brand}/`) ? [Number(body.split('/')[3])] : []));
  expect(sorted(rig.messages('steady').map(Number))).toEqual(upTo(said));
  expect(sorted([...numbers('old'), ...numbers('new')])).toEqual(upTo(said));
  // Each packet was evaluated by the old handlers or by the new ones, never by both, and none by the old after one by the new.
  await eventually(() => expect(sorted(rig.messages('coming').map(Number))).toEqual(sorted(numbers('new'))));
  expect(Math.min(...numbers('new'))).toBe(Math.max(...numbers('old')) + 1);
  expect(await owed(rig, 'old_pool')).toBe(numbers('old').length);

  expect(rig.pusher.log.filter((line) => line.event === 'ready')).toHaveLength(1);
  expect(await rig.metric(delivered), 'counted from the start').toBe(2 * said);
  expect(await rig.metric('event_pusher_config_reloads_total{result="applied"}')).toBe(1);
  expect(await rig.pusher.stop()).toBe(0);
});

describe('an invalid configuration is refused, and the old one stays:', () => {
  test.each([
    ['a module', { 'branded.mjs': 'export const prepareBody = (;' }, /handler branded \(branded\): cannot import .*SyntaxError/],
    [
      'a file that a module imports',
      { 'brand.mjs': 'export const brand = ""; throw new Error("no brand");' },
      /handler branded \(branded\): cannot import .*no brand/,
    ],
  ])('%s that is broken', async (_, broken, why) => {
    await using chat = await startScriptedChat();
    await using rig = await startRig(chat, { handlers: branded, files: modules('old') });
    const refusal = await rig.reload((text) => text, { ...modules('new'), ...broken });
    chat.say('as before');
    await rig.settled(1);
    expect(refusal).toMatchObject({ level: 'error', result: 'refused', msg: expect.stringMatching(why) });
    expect(rig.bodies('branded')).toEqual(['old/old/old/as before']);
    expect(await rig.metric('event_pusher_config_last_reload_successful')).toBe(0);

    expect(await rig.reload((text) => text, modules('newer'))).toMatchObject({ result: 'applied' });
    chat.say('mended');
    await rig.settled(2);
    expect(rig.bodies('branded')).toEqual(['old/old/old/as before', 'newer/newer/newer/mended']);
    expect(await rig.metric('event_pusher_config_last_reload_successful')).toBe(1);
    expect(await rig.metric('event_pusher_config_reloads_total{result="refused"}')).toBe(1);
  });

  test('a file with mistakes, reported in one line', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startRig(chat, { handlers: `${steady}${branded}`, files: modules('old') });
    const refusal = await rig.reload((text) => text.replace('workers = 20', 'workers = 0').replace('path = "/steady"', 'paht = "/steady"'));
    chat.say('as before');
    await rig.settled(2);
    expect(refusal).toMatchObject({ level: 'error', result: 'refused' });
    expect(refusal.msg).toContain('outgoing_pools.http.http_pool.workers: received 0');
    expect(refusal.msg).toContain('did you mean "path"?');
    expect([rig.messages('steady'), rig.bodies('branded')]).toEqual([['as before'], ['old/old/old/as before']]);
  });

  test('a file without an attachment', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startRig(chat, { handlers: steady });
    const refusal = await rig.reload((text) => text.replace(/\[attach\.chat\][^[]*/, ''));
    expect(refusal).toMatchObject({ result: 'refused', msg: expect.stringContaining('attaches to no chat server') });
    chat.say('as before');
    await rig.settled(1);
  });
});

test('a handler with another subscription changes the feed over the same connection', async () => {
  await using chat = await startScriptedChat();
  await using rig = await startRig(chat, { handlers: steady });
  const resumes = () => chat.server.received.flatMap((stanza) => findChild(stanza, 'resume') ?? []);
  await rig.reload((text) => `${text}${handler('status', 'when = { stanza = "presence" }')}`);
  await eventually(() => expect(resumes()).toHaveLength(2));
  expect(resumes().map(({ attrs: { want, dir } }) => [want, dir])).toEqual([
    ['message', 'in'],
    ['message presence', 'in out'],
  ]);
  const from = 'alice@localhost/phone';
  chat.server.push(`<presence xmlns='jabber:client' from='${from}'/>`, { dir: 'in', session: from });
  chat.say('still here');
  await rig.settled(2);
  expect([rig.messages('steady'), rig.bodies('status')]).toEqual([['still here'], [expect.stringContaining('author=alice')]]);
  expect(chat.server.received.filter(({ name }) => name === 'handshake')).toHaveLength(1);
});

test('a service that is restarted in its process resumes as the same pusher', async () => {
  await using chat = await startScriptedChat();
  await using rig = await startRig(chat, { handlers: steady });
  const resumes = () => chat.server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['pusher'] ?? []);
  const reloaded = await rig.reload((text) => `${text}\n[service]\ndrain_timeout = "7s"\n`);
  expect(reloaded).toMatchObject({ result: 'restart' });
  await eventually(() => expect(resumes()).toHaveLength(2));
  expect(new Set(resumes()).size).toBe(1);
  expect(resumes()[0]).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
});

test('a blocking callback of a reloaded module is named', async () => {
  await using chat = await startScriptedChat();
  const limits = '[callbacks]\nblock_timeout = "500ms"\n';
  const blocking = handler('blocking', 'callback_module = "blocking"');
  await using rig = await startRig(chat, { handlers: `${limits}${steady}` });
  await rig.reload((text) => text.replace(steady, blocking + steady), { 'blocking.mjs': 'export function shouldMakeReq() { for (;;); }' });
  chat.say('block');
  expect(await rig.pusher.said((line) => line.event === 'callback.blocked')).toMatchObject({ handler: 'blocking', strikes: 1 });
});

test('the log level changes with the file, and a token without a signal when its own file changes', async () => {
  await using chat = await startScriptedChat();
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference
  await using rig = await startRig(chat, { handlers: steady, pool: 'auth.bearer = "${file:token}"', files: { token: 'first-token' } });
  await rig.reload((text) => text.replace('loglevel = "info"', 'loglevel = "debug"'));
  chat.say('logged in detail');
  await rig.settled(1);
  await rig.pusher.said((line) => line.event === 'attempt.ended' && line.level === 'debug');

  await writeFile(join(rig.pusher.folder, 'token'), 'second-token');
  const renewed = await rig.pusher.said((line) => line.event === 'config.reload' && String(line.msg).includes('files changed'));
  expect(renewed).toMatchObject({ level: 'info', result: 'applied' });
  chat.say('with the new token');
  await rig.settled(2);
  expect(rig.backend.requests.map(({ header }) => header('authorization'))).toEqual(['Bearer first-token', 'Bearer second-token']);
  expect(await rig.metric('event_pusher_config_reloads_total{result="applied"}')).toBe(2);
});

test('a changed pool sends all waiting deliveries to its new backend', async () => {
  await using chat = await startScriptedChat();
  await using other = await startTarget();
  await using rig = await startRig(chat, {
    handlers: steady,
    pool: `retry.schedule = [${'"500ms", '.repeat(120)}]`,
    script: ({ body }) => ({ kind: 'answer', status: String(body).includes('sick') ? 503 : 200 }),
  });
  chat.say('well');
  chat.say('sick', 'bob');
  await rig.backend.received(2);
  expect(await rig.reload((text) => text.replace(rig.backend.origin, other.origin))).toMatchObject({ result: 'applied' });
  chat.say('moved');
  await rig.settled(3);
  const messages = other.requests.map(({ body }) => new URLSearchParams(body.toString()).get('message'));
  expect(messages.sort()).toEqual(['moved', 'sick']);
});

test('attempts in flight at a replaced pool may end while the service stops', async () => {
  await using chat = await startScriptedChat();
  await using other = await startTarget();
  const held = createDeferred<Answer>();
  await using rig = await startRig(chat, { handlers: steady, script: () => held.promise });
  chat.say('in flight');
  await rig.backend.received(1);
  void rig.reload((text) => text.replace(rig.backend.origin, other.origin)).catch(() => undefined); // it is stopped before the outcome is reported
  await eventually(async () => expect((await rig.pusher.get('/metrics')).text).not.toContain('event_pusher_workers{'));
  const stopped = rig.pusher.stop();
  await rig.pusher.said((line) => line.event === 'stopping');
  held.resolve({ kind: 'answer' });
  expect(await stopped).toBe(0);

  await rig.pusher.start();
  chat.say('after');
  await other.received(1);
  expect(other.requests.map(({ body }) => new URLSearchParams(body.toString()).get('message'))).toEqual(['after']);
});

test('callbacks at delivery are reloaded in the threads of their pool', async () => {
  await using chat = await startScriptedChat();
  const verdict = (code: number) => ({ 'strict.mjs': `export const statusClassifier = () => ${code};` });
  await using rig = await startRig(chat, { handlers: handler('strict', 'callback_module = "strict"'), files: verdict(4) });
  chat.say('one');
  const dead = 'event_pusher_deliveries_total{pool="http_pool",disposition="dead"}';
  await eventually(async () => expect(await rig.metric(dead)).toBe(1));
  await rig.reload((text) => text, verdict(2));
  chat.say('two');
  await rig.settled(1);
  expect(rig.messages('strict')).toEqual(['one', 'two']);
  expect(await rig.metric(dead)).toBe(1);
});
