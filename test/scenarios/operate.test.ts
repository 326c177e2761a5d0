/** The built service, operated by the built command line through the same configuration file. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type PushRigOptions, startPushRig } from '../support/push-rig.ts';
import { runCli } from '../support/run-cli.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { type Answer, freePort } from '../support/target.ts';

const push = '[[modules.mod_event_pusher.backend.http]]\nname = "push"\npath = "/notifications"\n';

async function startOperated(options: PushRigOptions = {}) {
  const chat = await startScriptedChat();
  const listen = `127.0.0.1:${await freePort()}`;
  const rig = await startPushRig(chat.server.port, { handlers: push, ...options, listen });
  const file = join(rig.pusher.folder, 'event-pusher.toml');

  async function operate(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCli([...args, '--config', file]);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  return {
    chat,
    rig,
    file,
    operate,
    operateJson: async (...args: readonly string[]) => JSON.parse(await operate(...args, '--json')),
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      await chat[Symbol.asyncDispose]();
    },
  };
}

test('status names a failing backend first within ten seconds of its first failed attempt, by the clock of the service', async () => {
  let status = 200;
  const pool = 'retry.schedule = ["1s", "1s", "1s", "1s", "1s", "1s"]';
  await using service = await startOperated({ pool, script: (): Answer => ({ kind: 'answer', status }) });
  const { chat, rig, file } = service;
  chat.say('well');
  await rig.settled(1);
  status = 503;
  chat.say('ill');
  let seen:
    | { readonly at: string; readonly verdict: { readonly lines: readonly { readonly text: string; readonly since: string }[] } }
    | undefined;
  await eventually(async () => {
    seen = JSON.parse((await rig.pusher.get('/api/v1/status')).text);
    expect(seen?.verdict.lines[0]).toMatchObject({ text: expect.stringMatching(/http_pool.*status 503/s), subject: { pool: 'http_pool' } });
  });
  const failed = rig.pusher.log.find(({ event, status: answered }) => event === 'attempt.ended' && answered === 503);
  const failedAt = Date.parse(String(failed?.['time']));
  expect(Date.parse(seen?.at ?? '') - failedAt).toBeLessThanOrEqual(10_000);
  expect(Math.abs(Date.parse(seen?.verdict.lines[0]?.since ?? '') - failedAt)).toBeLessThanOrEqual(1000);
  const { stdout } = await runCli(['status', '--config', file]);
  expect(stdout.split('\n')[0]).toMatch(/http_pool.*status 503/);
});

describe('dead letters', () => {
  test('are listed with the documented fields, shown with their attempts, and replayed under their ids', async () => {
    let status = 422;
    await using service = await startOperated({ script: (): Answer => ({ kind: 'answer', status, body: 'no such user' }) });
    const { chat, rig, operate, operateJson } = service;
    for (const body of ['one', 'two', 'three']) chat.say(body);
    await eventually(async () => expect(await rig.metric('event_pusher_dead_letters_total{pool="http_pool",reason="refused"}')).toBe(3));

    const letters = await operateJson('dead-letters', 'list');
    expect(letters).toHaveLength(3);
    expect(Object.keys(letters[0]).toSorted()).toEqual(['attempts', 'createdAt', 'handler', 'host', 'id', 'pool', 'reason', 'status']);
    expect(letters[2]).toMatchObject({
      host: 'localhost',
      handler: 'push',
      pool: 'http_pool',
      reason: 'refused',
      status: 422,
      attempts: 1,
    });
    const shown = await operate('dead-letters', 'show', letters[0].id);
    expect(shown).toContain('no such user');
    expect(shown).not.toContain('message=one');
    expect(await operate('dead-letters', 'show', letters[0].id, '--content')).toContain('message=one');

    expect(await operate('dead-letters', 'replay', '--all', '--dry-run')).toContain('3');
    status = 200;
    await operate('dead-letters', 'replay', letters[1].id);
    await rig.settled(1);
    await operate('dead-letters', 'replay', '--handler', 'push');
    await rig.settled(3);

    expect(rig.messages().slice(3).toSorted()).toEqual(['one', 'three', 'two']);
    const replayed = rig.backend.requests.slice(3).map((request) => [request.header('webhook-id'), request.header('event-pusher-attempt')]);
    expect(replayed[0]).toEqual([letters[1].id, '1']);
    expect(replayed.map(([id]) => id).toSorted()).toEqual(letters.map(({ id }: { readonly id: string }) => id).toSorted());
    expect(await operateJson('dead-letters', 'list')).toEqual([]);
  });

  test('whose callbacks failed are evaluated again, and keep their ids', async () => {
    const module = (body: string) => `export const prepareBody = () => { ${body} };\nexport const shouldMakeReq = () => true;\n`;
    const handlers = '[[modules.mod_event_pusher.backend.http]]\nname = "own"\npath = "/notifications"\ncallback_module = "own"\n';
    await using service = await startOperated({ handlers, files: { 'own.mjs': module("throw new Error('broken')") } });
    const { chat, rig, operate, operateJson } = service;
    chat.say('hello');
    await eventually(async () => expect(await operateJson('dead-letters', 'list')).toHaveLength(1));
    const [letter] = await operateJson('dead-letters', 'list');
    expect(letter).toMatchObject({ reason: 'callback-failed', status: null, attempts: 0 });

    await operate('dead-letters', 'replay', '--all');
    expect((await operateJson('dead-letters', 'list')).map(({ id }: { readonly id: string }) => id)).toEqual([letter.id]);
    await writeFile(join(rig.pusher.folder, 'own.mjs'), module("return 'mended'"));
    rig.pusher.signal('SIGHUP');
    await rig.pusher.said((line) => line.event === 'config.reload' && line['result'] === 'applied');
    await operate('dead-letters', 'replay', '--all');
    await rig.settled(1);
    expect(rig.bodies()).toEqual(['mended']);
    expect(rig.backend.requests[0]?.header('webhook-id')).toBe(letter.id);
    expect(await operateJson('dead-letters', 'list')).toEqual([]);
  });

  test('are purged after a confirmation', async () => {
    await using service = await startOperated({ script: (): Answer => ({ kind: 'answer', status: 410 }) });
    const { chat, rig, operate, operateJson } = service;
    chat.say('gone');
    await eventually(async () => expect(await rig.metric('event_pusher_spool_depth{pool="http_pool",state="dead"}')).toBe(1));
    await expect(operate('dead-letters', 'purge', '--all')).rejects.toThrow('--yes');
    await operate('dead-letters', 'purge', '--all', '--yes');
    expect(await operateJson('dead-letters', 'list')).toEqual([]);
    expect(await rig.metric('event_pusher_spool_depth{pool="http_pool",state="dead"}')).toBe(0);
  });
});

test('a paused pool keeps its backlog over a restart, and delivers it in order once it is resumed', async () => {
  await using service = await startOperated();
  const { chat, rig, operate, operateJson } = service;
  await operate('pools', 'pause', 'http_pool');
  for (const body of ['one', 'two', 'three']) chat.say(body);
  await eventually(() => expect(chat.server.acked).toBe(3));
  await rig.pusher.kill();
  await rig.pusher.start();
  expect(await operateJson('pools', 'list')).toMatchObject([{ name: 'http_pool', paused: true, waiting: 3, inFlight: 0 }]);
  expect(rig.messages()).toEqual([]);
  await operate('pools', 'resume', 'http_pool');
  await rig.settled(3);
  expect(rig.messages()).toEqual(['one', 'two', 'three']);
});

test('one failing delivery shows an outage in the metrics and in the list of pools', async () => {
  let status = 503;
  await using service = await startOperated({
    script: (): Answer => ({ kind: 'answer', status }),
    pool: `retry.schedule = ${JSON.stringify(Array(60).fill('1s'))}`,
  });
  const { chat, rig, operate, operateJson } = service;
  const failures = 'event_pusher_consecutive_failures{pool="http_pool",handler="push"}';
  expect((await rig.pusher.get('/metrics')).text).toContain(`${failures} 0\n`);
  chat.say('hello');
  await eventually(async () => expect(await rig.metric(failures)).toBeGreaterThan(0));
  await eventually(async () => expect(await rig.metric('event_pusher_spool_oldest_age_seconds{pool="http_pool"}')).toBeGreaterThan(0));
  const [pool] = await operateJson('pools', 'list');
  expect(pool).toMatchObject({ lastError: { reason: 'status 503' }, successRate: 0 });
  expect(pool.handlers).toMatchObject([{ name: 'push', lastError: { reason: 'status 503' } }]);
  const shown = await operate('pools', 'list');
  expect(shown).toContain('failing');
  expect(shown).toMatch(/ s ago, \d+ in a row: status 503/);

  status = 200;
  await rig.settled(1);
  expect(await rig.metric(failures)).toBe(0);
  expect(await operate('pools', 'list')).toMatch(/sending .* % of \d.*accepted since: status 503/s);
});

test('the verdict names a failing backend, and says when all is well', async () => {
  let status = 200;
  await using service = await startOperated({
    script: (): Answer => ({ kind: 'answer', status }),
    pool: `retry.schedule = ${JSON.stringify(Array(60).fill('1s'))}`,
  });
  const { chat, rig, file, operate } = service;
  chat.say('hello');
  await rig.settled(1);
  await eventually(async () => expect(await operate('status')).toMatch(/^All well, .*nothing waiting\n$/));
  status = 503;
  chat.say('hello');
  await eventually(async () => {
    const { code, stdout } = await runCli(['status', '--config', file]);
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/^critical {2}push on http_pool: .* failed for .*last error: status 503, 1 waiting/),
    ]);
  });
  status = 200;
  await rig.settled(2);
});

test('a handler of a paused pool is shown as paused, and keeps its own pause over a restart', async () => {
  await using service = await startOperated();
  const { chat, rig, operateJson } = service;
  await service.operate('pools', 'pause', 'http_pool/push');
  await service.operate('pools', 'pause', 'http_pool');
  chat.say('hello');
  await eventually(() => expect(chat.server.acked).toBe(1));
  await rig.pusher.kill();
  await rig.pusher.start();
  await service.operate('pools', 'resume', 'http_pool');
  expect(await operateJson('pools', 'list')).toMatchObject([{ paused: false, handlers: [{ name: 'push', paused: true, waiting: 1 }] }]);
  expect(await service.operate('status')).toMatch(/push on http_pool: paused, 1 waiting/);
  expect(rig.messages()).toEqual([]);
  await service.operate('pools', 'resume', 'http_pool/push');
  await rig.settled(1);
  await service.operate('pools', 'pause', 'http_pool');
  const [, handlers] = (await service.operate('pools', 'list')).split('\n\n');
  expect(handlers).toMatch(/^push .* paused/m);
  expect(handlers).not.toContain('sending');
});

test('a test request passes through a handler with a mark, and is neither stored nor counted', async () => {
  await using service = await startOperated({ script: (): Answer => ({ kind: 'answer', status: 201, body: 'thank you' }) });
  const { rig, operate } = service;
  expect(await operate('send-test', 'push')).toContain('thank you');
  const [request] = rig.backend.requests;
  expect(request?.header('event-pusher-test')).toBe('1');
  expect(request?.body.toString()).toContain('author=sender&server=localhost&receiver=receiver&message=');
  expect(await rig.metric('mod_event_pusher_http_sent_total{host="localhost"}')).toBe(0);
  expect(await rig.metric('event_pusher_spool_depth{pool="http_pool",state="waiting"}')).toBe(0);
});

test('a test request calls the callbacks at delivery, and shows their judgement', async () => {
  const handlers = '[[modules.mod_event_pusher.backend.http]]\nname = "own"\npath = "/notifications"\ncallback_module = "own"\n';
  const module = `export function handleResponse({ message: { context } }) {
    context.set('DLV_RESPONSE_STATUS', '406');
    context.set('DLV_RESPONSE_STATUS_DETAIL', 'suppressed');
    return 1;
  }\n`;
  await using service = await startOperated({ handlers, files: { 'own.mjs': module } });
  const { code, stdout } = await runCli(['send-test', 'own', '--config', service.file]);
  expect([code, stdout]).toEqual([1, expect.stringMatching(/answered 200 .*accepted {2}no: status 406 suppressed\n$/s)]);
});

test('the deliveries of a removed handler are kept, shown, and moved to another', async () => {
  let status = 503;
  await using service = await startOperated({ script: (): Answer => ({ kind: 'answer', status }), pool: 'retry.schedule = ["1h"]' });
  const { chat, rig, file, operate, operateJson } = service;
  for (const body of ['one', 'two']) chat.say(body);
  await rig.backend.received(1);
  await operate('pools', 'pause', 'http_pool/push');
  const before = await readFile(file, 'utf8');
  await writeFile(file, before.replace('name = "push"', 'name = "renamed"'));
  const move = 'event-pusher orphans move --pool http_pool --handler push --to-handler renamed';
  const checked: { readonly notices: readonly string[] } = await operateJson('check');
  expect(checked.notices.filter((notice) => notice.startsWith('2 deliveries wait for the handler push'))).toEqual([
    expect.stringContaining(move),
  ]);
  rig.pusher.signal('SIGHUP');
  await rig.pusher.said((line) => line.event === 'config.reload');
  await eventually(async () => expect(await rig.metric('event_pusher_orphaned{pool="http_pool",handler="push"}')).toBe(2));
  const lines = rig.pusher.log.map(({ level, event, msg }) => ({ level, event, msg }));
  const warned = lines.findIndex(({ level, msg }) => level === 'warn' && msg.includes(move));
  const applied = lines.findIndex(({ event }) => event === 'config.reload');
  expect([warned >= 0, warned < applied]).toEqual([true, true]);

  expect(await operateJson('orphans', 'list')).toEqual([{ pool: 'http_pool', handler: 'push', waiting: 2 }]);
  status = 200;
  await operate('orphans', 'move', '--pool', 'http_pool', '--handler', 'push', '--to-handler', 'renamed');
  expect(await operateJson('orphans', 'list')).toEqual([]);
  expect(await operateJson('pools', 'list')).toMatchObject([{ waiting: 2, handlers: [{ name: 'renamed', waiting: 2 }] }]);

  // The metric keeps its alert firing until the pause of the removed handler is ended.
  const paused = 'event_pusher_handler_paused{pool="http_pool",handler="push"}';
  expect(await rig.metric(paused)).toBe(1);
  expect(await operate('pools', 'resume', 'http_pool/push')).toContain('Handler push on pool http_pool');
  expect(await rig.metric(paused)).toBe(0);
  await expect(operate('pools', 'resume', 'http_pool/push')).rejects.toThrow('no handler "push"');
});
