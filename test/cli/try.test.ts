/** The built command line, which runs a stanza through a handler without a service. */
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { writeConfig } from '../config/write-config.ts';
import { runCli } from '../support/run-cli.ts';

const config = `
  [general]
  hosts = ["localhost"]
  [outgoing_pools.http.http_pool]
  [outgoing_pools.http.http_pool.connection]
  host = "https://localhost:8000"
  path_prefix = "/webservice"
  [[modules.mod_event_pusher.http.handlers]]
  name = "default"
  path = "/notifications"
  [[modules.mod_event_pusher.http.handlers]]
  name = "offline"
  path = "/offline"
  when = { direction = "out", type = ["chat", "normal"], body = true }
  [[modules.mod_event_pusher.http.handlers]]
  name = "nested"
  path = "/nested"
  when = { text = "*!", not = { sender = "bot@*" }, any = [{ type = "chat" }, { room = "team@*" }] }
  [[modules.mod_event_pusher.http.handlers]]
  name = "state"
  path = "/state"
  when = { sender = "alice@localhost", room = "tea@*", offline = false, any = [{ text = "Tea*" }, { not = { has = "urn:x", type = "chat" } }] }
  [[modules.mod_event_pusher.http.handlers]]
  name = "own"
  callback_module = "own"
  path = "/own"`;

const own = `
  export const shouldMakeReq = ({ packet }) => packet.text('body') !== 'declined';
  export function prepareBody({ message }) {
    if (message === 'failing') throw new Error('no body for it');
    return message;
  }`;

const chat = (body: string, rest = '') =>
  `<message type='chat' from='alice@localhost/phone' to='bob@localhost' id='m1'>${rest}<body>${body}</body></message>`;

async function startTrial() {
  const file = await writeConfig(config);
  const folder = dirname(file);
  await writeFile(join(folder, 'own.mjs'), own);
  return async (handler: string, stanza: string, ...options: string[]) => {
    const path = join(folder, 'stanza.xml');
    await writeFile(path, stanza);
    return await runCli(['try', handler, path, '--config', file, ...options]);
  };
}

test('a pushed stanza is shown with its whole request', async () => {
  const run = await startTrial();
  const { code, stdout } = await run('default', `<?xml version='1.0'?>\n${chat('Hi, Bob!')}\n`, '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    ...{ pushed: true, reason: '', detail: '' },
    rules: [{ rule: 'host', wanted: ['localhost'], matches: true, found: 'localhost' }],
    request: {
      method: 'POST',
      url: 'https://localhost:8000/webservice/notifications',
      headers: [['content-type', 'application/x-www-form-urlencoded']],
      body: 'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21',
    },
  });
  expect((await run('default', chat('Hi'))).stdout).toContain('POST https://localhost:8000/webservice/notifications');
});

test.each([
  ['default', chat(''), [], 'shouldMakeReq'],
  ['default', chat('Hi'), ['--host', 'other.example'], 'host'],
  ['default', chat('Hi'), ['--dir', 'out'], 'shouldMakeReq'],
  ['offline', chat('Hi'), [], 'direction'],
  ['offline', chat('Hi').replace("'chat'", "'headline'"), ['--dir', 'out'], 'type'],
  ['offline', chat(''), ['--dir', 'out'], 'body'],
  ['nested', chat('Hi'), [], 'text'],
  ['nested', chat('Hi!').replace('alice', 'bot'), [], 'not.sender'],
  ['nested', chat('Hi!').replace("'chat'", "'groupchat'"), [], 'any'],
  ['own', chat('declined'), [], 'shouldMakeReq'],
] as const)('%s does not push %s %j because of %s', async (handler, stanza, options, reason) => {
  const run = await startTrial();
  const { code, stdout } = await run(handler, stanza, '--json', ...options);
  expect([code, JSON.parse(stdout)]).toEqual([0, { pushed: false, reason, detail: expect.stringMatching(/./), rules: expect.any(Array) }]);
});

const inRoom =
  "<message type='groupchat' from='tea@rooms.localhost/al' to='bob@localhost/desk'><body>Coffee</body><x xmlns='urn:x'/></message>";

test('every rule is explained, also nested ones and those about the state of users', async () => {
  const run = await startTrial();
  const options = ['--dir', 'out', '--sender', 'Alice@localhost', '--sessions', '2'];
  const { rules, pushed } = JSON.parse((await run('state', inRoom, '--json', ...options)).stdout);
  expect(rules.map(({ rule, matches, found }: Record<string, unknown>) => [rule, matches, found])).toEqual([
    ['host', true, 'localhost'],
    ['offline', true, '2 clients of the receiver'],
    ['sender', true, 'alice@localhost'],
    ['room', true, 'tea@rooms.localhost'],
    ['any', true, 'an alternative matches'],
    ['any[0].text', false, 'a text of 6 characters'],
    ['any[1].not', true, 'the rules in it do not all match'],
    ['any[1].not.type', false, 'groupchat'],
    ['any[1].not.has', true, 'jabber:client, urn:x'],
  ]);
  expect(pushed).toBe(true);
  const { stdout } = await run('state', inRoom, '--dir', 'out', '--sessions', '0');
  expect(stdout).toContain('Not pushed: offline');
  expect(stdout).toContain('no   sender = ["alice@localhost"]: tea@rooms.localhost\n');
  expect(stdout).toContain('no   offline = false: 0 clients of the receiver\n');
});

test('a failing callback is named, with its error', async () => {
  const run = await startTrial();
  const { code, stdout } = await run('own', chat('failing'), '--json');
  expect([code, JSON.parse(stdout)]).toEqual([
    1,
    { pushed: false, reason: 'prepareBody', detail: expect.stringContaining('no body for it'), rules: [expect.anything()] },
  ]);
});

test('mistakes are named', async () => {
  const run = await startTrial();
  expect(await run('defalt', chat('Hi'))).toMatchObject({ code: 1, stderr: expect.stringContaining('did you mean "default"') });
  expect(await run('default', 'no XML')).toMatchObject({ code: 1, stderr: expect.stringContaining('not one stanza') });
  expect(await run('default', chat('Hi') + chat('Hi'))).toMatchObject({ code: 1 });
  expect(await run('default', "<message type='chat'><body>Hi</body></message>")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--host'),
  });
  expect(await run('default', chat('Hi'), '--dir', 'sideways')).toMatchObject({ code: 2 });
  expect(await run('default', chat('Hi'), '--sessions', 'many')).toMatchObject({ code: 2, stderr: expect.stringContaining('--sessions') });
  expect(await run('default', chat('Hi'), '--sessions', '1')).toMatchObject({ code: 2, stderr: expect.stringContaining('--dir out') });
  expect(await run('default', inRoom, '--sender', 'a@b')).toMatchObject({ code: 2, stderr: expect.stringContaining('--dir out') });
  expect(await run('state', inRoom, '--dir', 'out', '--sender', '@')).toMatchObject({ code: 2, stderr: expect.stringContaining('a user') });
});
