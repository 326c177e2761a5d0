/** The programs that the pages on receivers and on embedding show. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { readPage } from '../support/guide.ts';
import { startPushRig } from '../support/push-rig.ts';
import { plainConfig } from '../support/pusher.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { startChild } from '../support/start-child.ts';
import { freePort, startTarget } from '../support/target.ts';

const library = new URL('../../dist/src/index.js', import.meta.url).href;

async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'program-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function runProgram(file: string) {
  const child = startChild('sh', ['-c', 'cd "$(dirname "$1")" && exec "$0" "$1"', process.execPath, file]);
  const lines: string[] = [];
  let errors = '';
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  child.stderr.on('data', (text) => {
    errors += text;
  });
  return { child, lines, errors: () => errors };
}

test('the receiver takes an event once, refuses what has no id, and ignores a test', async () => {
  const port = await freePort();
  const file = join(await freshFolder(), 'receiver.mjs');
  await writeFile(file, readPage('docs/guides/receiver.md').block('js', 'createServer').replace('8000', String(port)));
  const { child, lines } = runProgram(file);
  const post = (headers: Record<string, string>, message: string) =>
    fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ author: 'alice', server: 'localhost', receiver: 'bob', message }),
    });
  await eventually(() => post({ 'webhook-id': 'test', 'event-pusher-test': '1' }, 'test'));

  await using chat = await startScriptedChat();
  await using backend = await startTarget({ script: () => ({ kind: 'answer', status: 204 }) });
  await using rig = await startPushRig(chat.server.port, { backend });
  chat.say('Hi, Bob!');
  await rig.settled(1);
  const [request] = backend.requests;
  const id = request?.header('webhook-id') ?? '';
  for (const _ of [1, 2]) expect((await post({ 'webhook-id': id }, 'Hi, Bob!')).status).toBe(204);
  expect((await post({ 'webhook-id': 'other' }, 'again')).status).toBe(204);
  expect((await post({}, 'none')).status).toBe(400);
  await eventually(() => expect(lines).toEqual(['alice@localhost to bob: Hi, Bob!', 'alice@localhost to bob: again']));
  child.kill();
});

test('the embedding program delivers, hears of it, and stops on SIGTERM', async () => {
  await using chat = await startScriptedChat();
  await using backend = await startTarget();
  const folder = await freshFolder();
  const file = join(folder, 'program.mjs');
  await writeFile(
    file,
    readPage('docs/guides/embedding.md').block('js', 'createService').replace("'xmpp-event-pusher'", JSON.stringify(library)),
  );
  const config = plainConfig({ componentPort: chat.server.port, backend: backend.origin });
  await writeFile(
    join(folder, 'event-pusher.toml'),
    `[general]\nhosts = ["localhost"]\nloglevel = "none"\n[admin]\nlisten = "127.0.0.1:0"\n${config}`,
  );
  const { child, lines, errors } = runProgram(file);
  await eventually(() => chat.server.received.some(({ name }) => name === 'iq'));
  chat.say('Hi');
  await eventually(() => expect(lines, errors()).toContainEqual(expect.stringMatching(/^[0-9a-f-]{36} \S+ delivered$/)));
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});
