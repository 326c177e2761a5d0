import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { writeConfig } from './write-config.ts';

const unreadable = (message: unknown) => ({ code: 'CONFIG_UNREADABLE', message });

test('the error about a missing file names the search order', async () => {
  await expect(loadConfig('/nowhere/at/all.toml', {})).rejects.toMatchObject(
    unreadable(expect.stringMatching(/\/nowhere\/at\/all\.toml.*--config.*\$EVENT_PUSHER_CONFIG.*event-pusher\.toml/)),
  );
});

test('a directory is refused', async () => {
  const folder = dirname(await writeConfig(''));
  await expect(loadConfig(folder, {})).rejects.toMatchObject(unreadable(`cannot read the configuration ${folder}: it is a directory`));
});

/** The error about a file with invalid TOML, without the file name. */
async function complaintOf(text: string): Promise<string> {
  const file = await writeConfig(text);
  const error = await loadConfig(file, {}).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE' });
  return String(error).replace(`ServiceError: ${file} is not TOML: `, '');
}

test.each([
  [
    '[general]\nhosts = ["localhost"]\nhosts = []\n',
    'line 3, column 1, key general.hosts: trying to redefine an already defined table or value; a key may occur only once in its table',
  ],
  [
    '[modules.mod_event_pusher.backend.http]\npath = "/a"\n[[modules.mod_event_pusher.backend.http]]\npath = "/b"\n',
    'line 3, column 3, table modules.mod_event_pusher.backend.http: trying to redefine an already defined table or value; line 1 also defines it: write [[modules.mod_event_pusher.backend.http]] for each of them, including the first',
  ],
  [
    '[[modules.mod_event_pusher.backend.http]]\npath = "/a"\n[modules.mod_event_pusher.backend.http]\npath = "/b"\n',
    'line 3, column 2, table modules.mod_event_pusher.backend.http: trying to redefine an already defined table or value; line 1 also defines it: write [[modules.mod_event_pusher.backend.http]] for each of them, including the first',
  ],
  [
    '[spool]\nengine = "memory"\n[spool]\npath = "x"\n',
    'line 3, column 2, table spool: trying to redefine an already defined table or value; line 1 also defines it: merge the two tables',
  ],
  [
    '[attach.chat]\nsecret = "hunter2\ndomain = "p"\n',
    'line 2, column 18, key attach.chat.secret: control characters are not allowed in strings; a quoted string must end on its line: is the closing quote missing?',
  ],
  ['[general\nhosts = []\n', 'line 1, column 9: illegal character in key; is a closing bracket missing?'],
  ['[attach.chat]\nsecret = hunter2\n', 'line 2, column 10, key attach.chat.secret: invalid value; a string must be quoted'],
  ['[history]\nenabled = yes  # or no\n', 'line 2, column 11, key history.enabled: invalid value; write true or false'],
  ['[history]\nenabled = True\n', 'line 2, column 11, key history.enabled: invalid value; write true or false'],
  [
    '[admin]\ntoken = "hunter2" x\n',
    'line 2, column 19, key admin.token: each key-value declaration must be followed by an end-of-line; is a quote missing, or is there one too many?',
  ],
])('invalid TOML is reported with line, column, key and a remedy: %j', async (text, complaint) => {
  expect(await complaintOf(text)).toBe(complaint);
});

test.each([
  '[attach.chat]\nsecret = "hunter2\ndomain = "p"\n',
  '[attach.chat]\nsecret = hunter2\n',
  '[attach.chat]\nsecret = """\nhunter2 = hunter2\n',
  '[attach.chat]\nsecret = """\nhunter2 = "x"""" y"\nhunter2\n"""\n',
  '[admin]\ntoken = hunter2"\n',
  '[admin\ntoken = "hunter2"\n',
  'options = { api_key = "hunter2", deep = hunter2 }\n',
  'options = [ "x", hunter2 ]\n',
  '[admin]\ntoken "hunter2"\n',
  'path = "\\hunter2"\n',
])('the error about invalid TOML contains no value: %j', async (text) => {
  const file = await writeConfig(text);
  const error = await loadConfig(file, {}).catch((thrown: unknown) => thrown);
  expect(String(error)).toContain('is not TOML: line ');
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('hunter2');
});

test('a key with tens of thousands of dots is refused with a short message', async () => {
  const file = await writeConfig(`a.${'b.'.repeat(50_000)}c = 1\n`);
  await expect(loadConfig(file, {})).rejects.toMatchObject(
    unreadable(`cannot read the configuration ${file}: its tables are nested more than 100 levels deep`),
  );
});

test('a table that is repeated many times is reported with its first lines', async () => {
  expect(await complaintOf('[a]\n'.repeat(1000))).toMatch(/; lines 1, 3, 4 and 996 more also define it: merge the two tables$/);
});
