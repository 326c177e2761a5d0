import { describe, expect, test } from 'vitest';
import type { ExitsAttachment } from '../../src/config/service-config.ts';
import { attachment, load, mistakeLines } from './write-config.ts';

const front = `
[attach.front]
type = "http"
listen = "127.0.0.1:8080"
hosts = ["web.example"]
`;
const descriptor = (lines = 'path = "/push"', name = 'D') => `[[attach.front.descriptors]]\nname = "${name}"\ntac = "PUSH"\n${lines}\n`;
const at = 'attach.front.descriptors';

async function exits(text: string, files: Record<string, string> = {}): Promise<ExitsAttachment> {
  const found = (await load(text, { files })).attachments.find(({ name }) => name === 'front');
  if (found?.type !== 'exits') throw new Error('expected an attachment with descriptors');
  return found;
}

describe('descriptors', () => {
  test('have the defaults of openUTM’s documentation', async () => {
    const { descriptors, listeners, hosts, ...rest } = await exits(`${front}[[attach.front.descriptors]]\nname = "D"\ntac = "PUSH"`);
    expect(descriptors).toEqual([
      {
        name: 'D',
        path: '/*',
        listener: undefined,
        tac: 'PUSH',
        unit: { kind: 'builtin', name: 'PUSH' },
        exit: { kind: 'system' },
        convertText: false,
        userAuth: 'none',
      },
    ]);
    expect(listeners).toEqual([{ name: 'front', host: '127.0.0.1', port: 8080 }]);
    expect(hosts).toEqual(['web.example']);
    expect(rest).toMatchObject({ maxBodyBytes: 1_048_576, maxHeaders: 100, requestTimeoutMs: 5000, users: [], origins: [] });
  });

  test('accept the values of openUTM’s documentation', async () => {
    const lines = 'path = "/a/*"\nhttp_exit = "*NONE"\nconvert_text = "*YES"\nuser_auth = "*BASIC"\nbcamappl = "*ALL"';
    const { descriptors } = await exits(`${front}[attach.front.users]\nshop = "pw"\n${descriptor(lines)}`);
    expect(descriptors).toMatchObject([
      { path: '/a/*', exit: { kind: 'none' }, convertText: true, userAuth: 'basic', listener: undefined },
    ]);
    expect((await exits(`${front}${descriptor('convert_text = "*NO"')}`)).descriptors).toMatchObject([{ convertText: false }]);
    expect((await exits(`${front}${descriptor('convert_text = true')}`)).descriptors).toMatchObject([{ convertText: true }]);
  });

  test('find exits and units in the places of callback modules', async () => {
    const tacs = '[attach.front.tacs]\nORDER = "order"\nSAY = "SENDMSG"\n';
    const lines = `${descriptor('path = "/a"\nhttp_exit = "split"').replace('PUSH', 'ORDER')}${descriptor('path = "/b"', 'E').replace('PUSH', 'SAY')}`;
    const { descriptors, sendThrough } = await exits(`${attachment}${front}${tacs}${lines}`, {
      'order.mjs': '',
      'callbacks/split.mjs': '',
    });
    expect(descriptors).toMatchObject([
      {
        tac: 'ORDER',
        unit: { kind: 'module', name: 'order', url: expect.stringMatching(/\/order\.mjs$/) },
        exit: { kind: 'module', name: 'split', url: expect.stringMatching(/\/callbacks\/split\.mjs$/) },
      },
      { tac: 'SAY', unit: { kind: 'builtin', name: 'SENDMSG' } },
    ]);
    expect(sendThrough).toBe('chat');
  });

  test('select a listener by name', async () => {
    const text = front.replace('listen = "127.0.0.1:8080"', 'listen = { public = "127.0.0.1:8080", inner = "[::1]:0" }');
    const { listeners, descriptors } = await exits(`${text}${descriptor('bcamappl = "inner"')}`);
    expect(listeners).toEqual([
      { name: 'public', host: '127.0.0.1', port: 8080 },
      { name: 'inner', host: '::1', port: 0 },
    ]);
    expect(descriptors).toMatchObject([{ listener: 'inner' }]);
  });

  test('may have the same path on two listeners', async () => {
    const text = front.replace('listen = "127.0.0.1:8080"', 'listen = { a = "127.0.0.1:8080", b = "127.0.0.1:8081" }');
    const { descriptors } = await exits(`${text}${descriptor('bcamappl = "a"')}${descriptor('bcamappl = "b"', 'E')}`);
    expect(descriptors).toHaveLength(2);
  });

  test('may name senders at hosts of another attachment', async () => {
    const { attachments } = await load(`${attachment}${front.replace('web.example', 'localhost')}${descriptor()}`);
    expect(attachments.map(({ hosts }) => hosts)).toEqual([['localhost'], ['localhost']]);
  });

  test('are what distinguishes exits from a listener for posts', async () => {
    expect((await load(front)).attachments).toMatchObject([{ type: 'http', path: '/', maxBodyBytes: 65_536 }]);
  });
});

describe('users', () => {
  const hash = `$scrypt$ln=15,r=8,p=1$c2FsdHNhbHQ$${'a'.repeat(43)}`;

  test('are read from the configuration and from a file, as passwords or hashes', async () => {
    const { users } = await exits(`${front}users_file = "users"\n[attach.front.users]\nshop = "pw"\n${descriptor()}`, {
      users: `# who may come in\nbob:${hash}\n\neve:p:w\n`,
    });
    expect(users.map(({ user, kind }) => [user, kind])).toEqual([
      ['shop', 'plain'],
      ['bob', 'scrypt'],
      ['eve', 'plain'],
    ]);
    expect(JSON.stringify(users)).not.toContain('p:w');
  });

  test.each([
    [
      `bob = "$scrypt$x"`,
      'attach.front.users.bob: received for bob an invalid hash, expected a password, or its hash as $scrypt$ln=15,r=8,p=1$SALT$KEY, which may take at most 128 MiB',
    ],
    [
      `bob = "${hash.replace('ln=15', 'ln=25')}"`,
      'attach.front.users.bob: received for bob an invalid hash, expected a password, or its hash as $scrypt$ln=15,r=8,p=1$SALT$KEY, which may take at most 128 MiB',
    ],
    [`"a:b" = "x"`, expect.stringContaining('attach.front.users')],
  ])('with %s are a mistake', async (line, mistake) => {
    expect(await mistakeLines(`${front}[attach.front.users]\n${line}\n${descriptor()}`)).toEqual([mistake]);
  });

  test.each([
    ['shop:pw\nshop:other', 'received the user shop twice, expected each user once'],
    ['nobody', 'received "users", expected a file with lines NAME:PASSWORD'],
  ])('of a file with %j are a mistake', async (users, mistake) => {
    expect(await mistakeLines(`${front}users_file = "users"\n${descriptor()}`, { files: { users } })).toEqual([
      `attach.front.users_file: ${mistake}`,
    ]);
  });

  test('of a missing file are a mistake', async () => {
    expect(await mistakeLines(`${front}users_file = "none"\n${descriptor()}`)).toEqual([
      expect.stringContaining('a readable file (ENOENT'),
    ]);
  });
});

describe('a mistake', () => {
  const open = front.replace('127.0.0.1', '0.0.0.0');
  const path =
    'a URL path that starts with "/", without a query, everything outside ASCII percent-encoded; a final "/*" matches every path below';

  test.each([
    [
      `${front}${descriptor()}${descriptor('path = "/push"', 'E')}`,
      `${at}[1].path: received "/push", expected another path or listener for E than that of D (${at}[0])`,
    ],
    [
      `${front}${descriptor('path = "/a"')}${descriptor('path = "/b"')}`,
      `${at}[1].name: received "D", expected another name than that of D (${at}[0])`,
    ],
    [`${front}${descriptor('path = "a"')}`, `${at}[0].path: received "a", expected ${path}`],
    [`${front}${descriptor('path = "/a*"')}`, `${at}[0].path: received "/a*", expected ${path}`],
    [`${front}${descriptor('path = "/*/a"')}`, `${at}[0].path: received "/*/a", expected ${path}`],
    [`${front}${descriptor('path = "/a?b"')}`, `${at}[0].path: received "/a?b", expected ${path}`],
    [
      `${front}${descriptor().replace('PUSH', 'PUHS')}`,
      `${at}[0].tac: received "PUHS", expected one of PUSH, SENDMSG, STATUS (did you mean "PUSH"?)`,
    ],
    [`${front}${descriptor('convert_text = "*MAYBE"')}`, `${at}[0].convert_text: received "*MAYBE", expected true, false, "*YES" or "*NO"`],
    [`${front}${descriptor('user_auth = "*DIGEST"')}`, `${at}[0].user_auth: received "*DIGEST", expected one of *NONE, *BASIC`],
    [
      `${front}${descriptor('user_auth = "*BASIC"')}`,
      'attach.front.users: received nothing, expected at least one user, since a descriptor has user_auth = "*BASIC"',
    ],
    [`${front}${descriptor('bcamappl = "inner"')}`, `${at}[0].bcamappl: received "inner", expected one of *ALL, front`],
    [
      `${front}${descriptor('pth = "/x"')}`,
      `${at}[0].pth: received an unknown key, expected one of name, path, tac, http_exit, convert_text, user_auth, bcamappl (did you mean "path"?)`,
    ],
    [`${front}descriptors = []`, 'attach.front.descriptors: received an empty list, expected at least one descriptor'],
    [
      `${open}${descriptor()}`,
      `${at}[0].user_auth: received nothing, expected "*BASIC", or a module as http_exit that authenticates requests, since listen (0.0.0.0) is reachable from other machines`,
    ],
    [
      `${front}origins = ["https://a/b"]\n${descriptor()}`,
      'attach.front.origins[0]: received "https://a/b", expected an origin, such as "https://app.example"',
    ],
    [
      `${front}${descriptor().replace('PUSH', 'SENDMSG')}`,
      'attach.front.send_through: received nothing, expected an attachment of type component, through which SENDMSG can send',
    ],
    [
      `${attachment}${front}send_through = "caht"\n${descriptor()}`,
      'attach.front.send_through: received "caht", expected one of chat (did you mean "chat"?)',
    ],
    [
      `${front}listen = 5\n`.replace('listen = "127.0.0.1:8080"\n', '') + descriptor(),
      'attach.front.listen: received 5, expected address:port, or a table of listeners by name, each with its address:port',
    ],
  ])('%# names the expected value', async (text, line) => {
    expect(await mistakeLines(text)).toEqual([line]);
  });

  test('about a module lists the searched places', async () => {
    const lines = await mistakeLines(
      `${front}[attach.front.tacs]\nORDER = "./order.mjs"\n${descriptor('http_exit = "./split.mjs"').replace('PUSH', 'ORDER')}`,
    );
    expect(lines).toEqual([
      expect.stringMatching(
        /^attach\.front\.tacs\.ORDER: received "\.\/order\.mjs", expected a program unit: PUSH, SENDMSG, STATUS, or a module\. Searched: \/.*order\.mjs$/,
      ),
      expect.stringMatching(
        /^attach\.front\.descriptors\[0\]\.http_exit: received "\.\/split\.mjs", expected an exit: \*NONE, \*SYSTEM, or a module\. Searched: \/.*split\.mjs$/,
      ),
    ]);
  });

  test('is an ambiguous sender', async () => {
    const second = attachment.replace('attach.chat', 'attach.other').replaceAll('localhost', 'other.example');
    expect(await mistakeLines(`${attachment}${second}${front}${descriptor().replace('PUSH', 'SENDMSG')}`)).toEqual([
      'attach.front.send_through: received nothing, expected the attachment through which SENDMSG sends: one of chat, other',
    ]);
  });

  test('is a listener that other machines can reach without authentication, unless an exit module authenticates', async () => {
    const { descriptors } = await exits(`${open}${descriptor('http_exit = "own"')}`, { 'own.mjs': '' });
    expect(descriptors).toHaveLength(1);
  });
});
