// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { load, mistakeLines, pool, writeConfig } from './write-config.ts';

/** A configuration whose only handler has this path. */
const withPath = (path: string): string => `${pool}[modules.mod_event_pusher.backend.http]\npath = '${path}'\n`;

test.each([
  ['${PLACE}', 'here'],
  ['/a/${PLACE}/b/${PLACE}', '/a/here/b/here'],
  ['$${PLACE}', '${PLACE}'],
  ['$${PLACE}-${PLACE}', '${PLACE}-here'],
  ['$PLACE', '$PLACE'],
  ['${EMPTY}', ''],
  ['${NESTED}', '${PLACE}'],
])('the path %s is read as %s', async (written, path) => {
  const config = await load(withPath(written), { env: { PLACE: 'here', EMPTY: '', NESTED: '${PLACE}' } });
  expect(config.handlers[0]?.path).toBe(path);
});

test.each([
  ['line\n', 'line'],
  ['line\r\n', 'line'],
  ['line', 'line'],
  ['line\n\n', 'line\n'],
])('a file with %j gives %j', async (content, value) => {
  const text = `${pool}[modules.mod_event_pusher.backend.http.options]\nanswer = "\${file:answer.txt}"\n`;
  const config = await load(text, { files: { 'answer.txt': content } });
  expect(config.handlers[0]?.options).toEqual({ answer: value });
});

test('file names are absolute or relative to the configuration', async () => {
  const file = await writeConfig('', { 'secrets/place': '/hook' });
  const absolute = join(dirname(file), 'secrets/place');
  expect((await load(withPath(`\${file:${absolute}}`))).handlers[0]?.path).toBe('/hook');
  expect((await load(withPath('${file:secrets/place}'), { files: { 'secrets/place': '/other' } })).handlers[0]?.path).toBe('/other');
});

test('references inside lists and inline tables are replaced', async () => {
  const text = `[general]\nhosts = ["\${DOMAIN}", "b.\${DOMAIN}"]\n${pool}[modules.mod_event_pusher.backend.http]\noptions = { deep = [{ to = "\${DOMAIN}" }] }`;
  const config = await load(text, { env: { DOMAIN: 'example.org' } });
  expect(config.hosts).toEqual(['example.org', 'b.example.org']);
  expect(config.handlers[0]?.options).toEqual({ deep: [{ to: 'example.org' }] });
});

test('an unresolved reference is reported once, at its path', async () => {
  const text = '[attach.chat]\ntype = "component"\nservice = "${CHAT_SERVICE}"\ndomain = "a.b"\nsecret = "${file:nowhere}"\nhosts = ["b"]';
  const lines = await mistakeLines(text, { env: { CHAT_SERVCIE: 'xmpp://localhost' } });
  expect(lines).toHaveLength(2);
  expect(lines[0]).toBe(
    'attach.chat.service: received "${CHAT_SERVICE}", expected the environment variable CHAT_SERVICE to be set (did you mean CHAT_SERVCIE?)',
  );
  expect(lines[1]).toMatch(/^attach\.chat\.secret: received "\$\{file:nowhere\}", expected a readable file: \/.*nowhere \(ENOENT\)$/);
});

test('an invalid reference is refused with the escape for a literal one', async () => {
  const [line] = await mistakeLines(withPath('${not a name}'));
  expect(line).toBe(
    'modules.mod_event_pusher.backend.http.path: received "${not a name}", expected the name of an environment variable, or file:/path (write $${ for a literal ${)',
  );
});
