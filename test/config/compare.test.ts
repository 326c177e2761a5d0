// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { describeDifferences, fixedDifferences } from '../../src/config/compare.ts';
import { loadConfig } from '../../src/config/load.ts';
import { attachment, pool, writeConfig } from './write-config.ts';

const handler = (name: string, more = ''): string => `[[modules.mod_event_pusher.http.handlers]]\nname = "${name}"\n${more}\n`;
const plain = `${attachment}${pool}${handler('first')}`;

/** The configurations of one file before and after somebody wrote into it. */
async function rewritten(before: string, after: string, [env, nextEnv = env]: readonly NodeJS.ProcessEnv[] = [{}]) {
  const file = await writeConfig(before);
  const running = await loadConfig(file, env ?? {});
  await writeFile(file, after);
  return { running, next: await loadConfig(file, nextEnv ?? {}) };
}

test.each([
  ['nothing', plain, []],
  ['pools and handlers', `${plain}${handler('second')}[outgoing_pools.http.other.connection]\nhost = "http://other"`, []],
  ['the log level', `${plain}[general]\nloglevel = "debug"`, []],
  ['the chat server’s address', plain.replace('xmpp://127.0.0.1', 'xmpp://127.0.0.2'), ['attach']],
  ['a secret', plain.replace('a secret of the test', 'another'), ['attach']],
  ['the hosts', plain.replace('["localhost"]', '["localhost", "b.example"]'), ['attach', 'general.hosts']],
  ['a callback’s deadline', `${plain}[callbacks]\ntimeout = "1s"`, ['callbacks']],
  ['the spool', `${plain}[spool]\nengine = "memory"`, ['spool']],
  ['the admin listener and its token', `${plain}[admin]\nlisten = "[::1]:0"\ntoken = "t"`, ['admin']],
  ['the listener of the gate', `${plain}[gate]\ntimeout = "2s"`, ['gate']],
  ['a token of the metrics', `${plain}[metrics]\ntoken = "t"`, ['metrics']],
  ['the time to drain', `${plain}[service]\ndrain_timeout = "1s"`, ['service']],
])('of %s a running service cannot change what is told', async (_, after, fixed) => {
  const { running, next } = await rewritten(plain, after);
  expect(fixedDifferences(running, next)).toEqual(fixed);
});

test('a secret that changed where its reference leads is found', async () => {
  const text = plain.replace('a secret of the test', '${PUSHER_SECRET}');
  const { running, next } = await rewritten(text, text, [{ PUSHER_SECRET: 'one' }, { PUSHER_SECRET: 'two' }]);
  expect(fixedDifferences(running, next)).toEqual(['attach']);
});

test('what is swapped is described', async () => {
  const before = `${plain}${handler('gone')}[outgoing_pools.http.old.connection]\nhost = "http://old"`;
  const after = `[general]\nloglevel = "debug"\n${plain}${handler('new')}[outgoing_pools.http.http_pool]\nworkers = 3`;
  const { running, next } = await rewritten(before, after.replace('name = "first"', 'name = "first"\nttl = "1h"'));
  expect(describeDifferences(running, next)).toBe(
    'pools removed old, changed http_pool; handlers added new, removed gone, changed first; loglevel debug',
  );
});

test('the same file differs in nothing but its modules', async () => {
  const { running, next } = await rewritten(plain, plain);
  expect(describeDifferences(running, next)).toBe('nothing but what the callback modules hold');
});
