import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { writeConfig } from './write-config.ts';

const unreadable = (message: unknown) => ({ code: 'CONFIG_UNREADABLE', message });

test('a missing file makes an error that names the places where one is looked for', async () => {
  await expect(loadConfig('/nowhere/at/all.toml', {})).rejects.toMatchObject(
    unreadable(expect.stringMatching(/\/nowhere\/at\/all\.toml.*--config.*\$EVENT_PUSHER_CONFIG.*event-pusher\.toml/)),
  );
});

test('a directory is no configuration', async () => {
  const folder = dirname(await writeConfig(''));
  await expect(loadConfig(folder, {})).rejects.toMatchObject(unreadable(`cannot read the configuration ${folder}: it is a directory`));
});

test('what is not TOML is told with line, column and the place', async () => {
  const file = await writeConfig('[general]\nhosts = ["localhost"]\nhosts = []\n');
  await expect(loadConfig(file, {})).rejects.toMatchObject(
    unreadable(
      [
        `${file} is not TOML: line 3, column 1: trying to redefine an already defined table or value`,
        '  2:  hosts = ["localhost"]',
        '  3:  hosts = []',
        '      ^',
      ].join('\n'),
    ),
  );
});

test('the excerpt shows no secret', async () => {
  const file = await writeConfig('[attach.chat]\nsecret = "do not show me\ndomain = "p"\n');
  const error = await loadConfig(file, {}).catch((thrown: unknown) => thrown);
  expect(String(error)).toContain('2:  secret = [redacted]');
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('do not show me');
});
