/** The built service with a history, asked by the built command line. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hasPostgres, startPostgres } from '../support/postgres.ts';
import { startPushRig } from '../support/push-rig.ts';
import { runCli } from '../support/run-cli.ts';
import { inTurn } from '../support/scripted-backend.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { freePort } from '../support/target.ts';

const handlers = `
[[modules.mod_event_pusher.backend.http]]
name = "push"
path = "/notifications"
[history]
enabled = true
`;
const retryAtOnce = 'retry = { schedule = ["10ms", "10ms", "10ms", "10ms", "10ms", "10ms", "10ms", "10ms"] }';

async function startRecorded(options: Parameters<typeof startPushRig>[1] = {}) {
  const chat = await startScriptedChat();
  const rig = await startPushRig(chat.server.port, { handlers, ...options, listen: `127.0.0.1:${await freePort()}` });

  async function operate(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCli([...args, '--config', join(rig.pusher.folder, 'event-pusher.toml')]);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  return {
    ...{ chat, rig, operate },
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      await chat[Symbol.asyncDispose]();
    },
  };
}

test.each([
  ['a file', true, undefined],
  ['PostgreSQL', await hasPostgres(), startPostgres],
] as const)(
  'with the spool in %s, a delivered event is found by its user after a kill, with each of its attempts',
  async (_, isPossible, startServer) => {
    if (!isPossible) return;
    await using server = await startServer?.();
    const spool = server && { spool: `[spool]\nengine = "postgres"\nurl = "${server.url()}"` };
    await using service = await startRecorded({ script: inTurn({ kind: 'answer', status: 503 }), pool: retryAtOnce, ...spool });
    const { chat, rig, operate } = service;
    chat.say('one');
    await rig.settled(1);
    chat.say('two', 'carol');
    await rig.settled(2);
    await rig.pusher.kill();
    await rig.pusher.start();

    const search = ['events', 'list', '--state', 'delivered', '--jid', 'alice@localhost'];
    const events = JSON.parse(await operate(...search, '--json'));
    expect(events).toMatchObject([{ state: 'delivered', status: 200, handler: 'push', receiver: 'bob@localhost', kind: 'message' }]);
    const [{ id }] = events;
    expect(await operate(...search)).toContain(id);
    expect(await operate('status')).toMatch(/history {3}settled events since \d{4}-/);

    const shown = await operate('events', 'show', id);
    const steps = shown.slice(shown.indexOf('timeline')).split('\n');
    expect(steps[0]).toMatch(/stanza seen$/);
    expect(steps[1]).toMatch(/accepted: rules and callbacks made a request$/);
    expect(steps[2]).toMatch(/attempt 1: answered 503, [\d.]+ ms$/);
    expect(shown).toMatch(/attempt \d+: answered 200, [\d.]+ ms\n.*delivered\n$/);
  },
);

test('without [history], a delivered event leaves no trace', async () => {
  await using service = await startRecorded({ handlers: handlers.replace('[history]\nenabled = true', '') });
  service.chat.say('one');
  await service.rig.settled(1);
  expect(await service.operate('events', 'list')).toBe('No events.\n');
  expect(await service.operate('status')).not.toContain('history');
});
