// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { checkAsJson, renderCheck } from '../../src/cli/check.ts';
import { describeDifferences } from '../../src/config/reload.ts';
import { createMask } from '../../src/config/secrets.ts';
import { load, mistakeLines, pool } from './write-config.ts';

const at = 'outgoing_pools.http.http_pool';
const withPool = (entries: string): string => `[general]\nhosts = ["localhost"]\n[${at}]\n${entries}\n${pool}`;

test('headers and a bearer token are read, from the file, the environment and other files', async () => {
  const text = withPool('headers = { X-Key = "${KEY}", x-team = "chat ops" }\nauth = { bearer = "${file:token}" }');
  const config = await load(text, { env: { KEY: 'k3y-of-env' }, files: { token: 'abc.def==\n' } });
  expect(config.pools[0]?.headers.map(({ name, value, from }) => [name, value.reveal(), from])).toEqual([
    ['X-Key', 'k3y-of-env', 'headers'],
    ['x-team', 'chat ops', 'headers'],
    ['authorization', 'Bearer abc.def==', 'auth.bearer'],
  ]);
});

test('a username and a password become basic credentials in UTF-8 (RFC 7617)', async () => {
  const config = await load(withPool('auth.basic = { username = "test", password = "123£" }'));
  expect(config.pools[0]?.headers.map(({ value }) => value.reveal())).toEqual(['Basic dGVzdDoxMjPCow==']);
});

test('no value is in the effective configuration, in JSON or in an inspection, and the encoded credentials are masked', async () => {
  const entries = 'headers = { x-key = "k3y-of-pool" }\nauth.basic = { username = "ursula-u", password = "p4ssw0rd" }';
  const config = await load(withPool(entries));
  const shown = renderCheck(config);
  expect(shown).toContain('headers = { x-key = "[redacted]" }\n');
  expect(shown).toContain('auth.basic.username = "[redacted]"\nauth.basic.password = "[redacted]"\n');
  expect(renderCheck(await load(withPool('auth.bearer = "t0k3n-of-pool"')))).toContain('auth.bearer = "[redacted]"\n');

  const encoded = Buffer.from('ursula-u:p4ssw0rd').toString('base64');
  const all = [shown, JSON.stringify(checkAsJson(config)), inspect(config, { depth: 9 }), JSON.stringify(config)].join();
  for (const value of ['k3y-of-pool', 'ursula-u', 'p4ssw0rd', encoded]) expect(all).not.toContain(value);
  const answer = `received k3y-of-pool, ${encoded} and p4ssw0rd`;
  expect(createMask(config.redacted)(answer)).toBe('received [redacted], [redacted] and [redacted]');
});

test('another value is a difference of the pool, which is not shown', async () => {
  const differences = async (one: string, other: string) => describeDifferences(await load(withPool(one)), await load(withPool(other)));
  expect(await differences('headers.x-key = "a"', 'headers.x-key = "b"')).toBe('pools changed http_pool');
  expect(await differences('auth.bearer = "a"', 'auth.bearer = "b"')).toBe('pools changed http_pool');
  expect(await differences(withOAuth('client_secret = "a"'), withOAuth('client_secret = "b"'))).toBe('pools changed http_pool');
});

/** A valid table with one entry that replaces that of the same key. */
function withOAuth(entry: string): string {
  const entries = { token_url: '"https://a/t"', client_id: '"c"', client_secret: '"s3cr3t"' };
  const others = Object.entries(entries).filter(([key]) => !entry.startsWith(`${key} `));
  return `auth.oauth2 = { ${[...others.map(([key, value]) => `${key} = ${value}`), entry].join(', ')} }`;
}

test('client credentials are read, and their secret is in no output, also as it is encoded in a request', async () => {
  const entries =
    '{ token_url = "https://Login.example/t?x=1", client_id = "c: 1", client_secret = "${SECRET}", scope = "a b", audience = "api" }';
  const config = await load(withPool(`auth.oauth2 = ${entries}`), { env: { SECRET: 's3cr3t+of/pool' } });
  const [client] = config.pools.map(({ oauth }) => oauth);
  expect({ ...client, clientSecret: client?.clientSecret.reveal() }).toEqual({
    ...{
      tokenUrl: 'https://login.example/t?x=1',
      clientId: 'c: 1',
      clientSecret: 's3cr3t+of/pool',
      authMethod: 'client_secret_basic',
      scope: 'a b',
      audience: 'api',
    },
  });
  expect(config.pools[0]?.headers).toEqual([]);
  const shown = renderCheck(config);
  expect(shown).toContain('auth.oauth2.token_url = "https://login.example/t?x=1"\n');
  expect(shown).toContain('auth.oauth2.client_secret = "[redacted]"\n');
  expect([shown, JSON.stringify(checkAsJson(config)), inspect(config, { depth: 9 })].join()).not.toContain('s3cr3t');

  const basic = Buffer.from('c%3A+1:s3cr3t%2Bof%2Fpool').toString('base64');
  const mask = createMask(config.redacted);
  expect(mask(`got s3cr3t+of/pool, s3cr3t%2Bof%2Fpool and ${basic}`)).toBe('got [redacted], [redacted] and [redacted]');
});

test('a token endpoint without TLS is noticed, except on this machine', async () => {
  const noticesFor = async (url: string) =>
    (await load(withPool(withOAuth(`token_url = "${url}"`)))).notices.filter((one) => one.includes('token_url'));
  expect(await noticesFor('http://login.example/t')).toEqual([expect.stringContaining('sends the client secret without encryption')]);
  for (const url of ['http://127.0.0.1:8080/t', 'http://localhost/t', 'https://login.example/t']) expect(await noticesFor(url)).toEqual([]);
});

const aName = 'expected as its name a header name';
const aValue = 'expected a string of 1 to 8192 printable ASCII characters, without spaces at its ends';
const ownHeader = 'expected no such header: the service sets it itself';
const aToken = 'expected a token of printable ASCII characters without spaces, and without the word Bearer';
const someAuth = 'expected a table with basic = { username = "…", password = "…" }, bearer = "…" or oauth2 = { … }';
const aCredential = 'received a string, expected at most 1024 characters, without control characters';
const many = Array.from({ length: 33 }, (_, index) => `x-${index} = "v"`).join(', ');

test.each([
  ['headers = "x-key: s3cr3t"', 'headers', 'expected a table such as'],
  ['headers = ["s3cr3t"]', 'headers', 'expected a table such as'],
  [`headers = { ${many} }`, 'headers', 'expected at most 32 headers'],
  ['headers = { "x key" = "s3cr3t" }', 'headers."x key"', aName],
  ['headers = { "x\\r\\ny" = "s3cr3t" }', 'headers."x\\r\\ny"', aName],
  ['headers = { "" = "s3cr3t" }', 'headers.""', aName],
  [`headers = { ${'x'.repeat(257)} = "s3cr3t" }`, `headers.${'x'.repeat(257)}`, aName],
  ['headers = { x = "s3cr3t\\r\\ny: z" }', 'headers.x', aValue],
  ['headers = { x = "s3cr3t\\u0000" }', 'headers.x', aValue],
  ['headers = { x = " s3cr3t" }', 'headers.x', aValue],
  ['headers = { x = "s3cr3tß" }', 'headers.x', aValue],
  ['headers = { x = "" }', 'headers.x', aValue],
  ['headers = { x = 5173 }', 'headers.x', aValue],
  ['headers = { "__proto__" = 5173 }', 'headers.__proto__', aValue],
  ['headers = { x = { y = "s3cr3t" } }', 'headers.x', aValue],
  [`headers = { x = "${'v'.repeat(8193)}" }`, 'headers.x', aValue],
  ['headers = { x-a = "s3cr3t", X-A = "s3cr3t" }', 'headers.X-A', 'expected each header once'],
  ['headers.Authorization = "s3cr3t"\nauth.bearer = "t"', 'headers.Authorization', 'expected no such header: auth of the pool sets it'],
  ['auth = "s3cr3t"', 'auth', someAuth],
  ['auth = {}', 'auth', someAuth],
  ['auth = { bearer = "s3cr3t", basic = { username = "u", password = "s3cr3t" } }', 'auth', someAuth],
  ['auth = { bearer = "Bearer s3cr3t" }', 'auth.bearer', aToken],
  ['auth = { bearer = "" }', 'auth.bearer', aToken],
  ['auth = { bearer = 5173 }', 'auth.bearer', aToken],
  ['auth = { basic = "u:s3cr3t" }', 'auth.basic', 'expected a table { username'],
  ['auth = { basic = { username = "u:s3cr3t", password = "" } }', 'auth.basic.username', `${aCredential} and without a colon`],
  ['auth = { basic = { username = "u", password = "s3cr3t\\n" } }', 'auth.basic.password', aCredential],
  ['auth = { basic = { username = "u" } }', 'auth.basic.password', 'received nothing, expected a string'],
  ['auth = { oauth2 = { client_secret = "s3cr3t" } }', 'auth.oauth2.token_url', 'received nothing, expected https://host'],
  ['auth = { oauth2 = "s3cr3t" }', 'auth.oauth2', 'expected a table { token_url'],
  ['auth = { bearer = "t", oauth2 = { token_url = "https://a/t", client_id = "c", client_secret = "s3cr3t" } }', 'auth', someAuth],
  [withOAuth('token_url = "https://u:s3cr3t@a/t"'), 'auth.oauth2.token_url', 'received a URL with credentials'],
  [withOAuth('token_url = "ftp://a/t"'), 'auth.oauth2.token_url', 'expected https://host'],
  [withOAuth('token_url = "https://a/t#s3cr3t"'), 'auth.oauth2.token_url', 'expected https://host'],
  [withOAuth('client_secret = "s3cr3t\\n"'), 'auth.oauth2.client_secret', 'expected a string of 1 to 1024 printable ASCII characters'],
  [withOAuth('client_id = "\u00df"'), 'auth.oauth2.client_id', 'expected a string of 1 to 1024 printable ASCII characters'],
  [withOAuth('scope = "a  b"'), 'auth.oauth2.scope', 'expected scopes separated by single spaces'],
  [withOAuth('secret = "s3cr3t"'), 'auth.oauth2.secret', 'received an unknown key'],
])('%s is a mistake that prints no value', async (entries, key, expected) => {
  const lines = await mistakeLines(withPool(entries));
  const line = lines.find((one) => one.startsWith(`${at}.${key}: `)) ?? lines.join('\n');
  expect(line).toContain(`${at}.${key}: `);
  expect(line).toContain(expected);
  expect(lines.join()).not.toMatch(/s3cr3t|5173|vvvv/);
});

test.each(['Host', 'content-length', 'Transfer-Encoding', 'connection', 'user-agent', 'Webhook-Id', 'webhook-x', 'event-pusher-test'])(
  'the service sets the header %s itself',
  async (name) => {
    expect(await mistakeLines(withPool(`headers = { ${name} = "s3cr3t" }`))).toEqual([
      `${at}.headers.${name}: received a string, ${ownHeader}`,
    ]);
  },
);

test('all mistakes of a table are reported', async () => {
  expect(await mistakeLines(withPool('headers = { x = 1, host = "a", y = "\\u007f" }'))).toHaveLength(3);
});

test('a value in a host_config is no less secret', async () => {
  const override = '[[host_config]]\nhost = "localhost"\n[host_config.outgoing_pools.http.http_pool]\nheaders = { x = 5173 }\n';
  const lines = await mistakeLines(`${withPool('')}${override}[host_config.outgoing_pools.http.http_pool.connection]\nhost = "http://a"\n`);
  expect(lines).toEqual([expect.stringContaining(`headers.x: received a number, ${aValue}`)]);
});

test('references that cannot be resolved are the only mistakes', async () => {
  const lines = await mistakeLines(
    withPool('headers = { x = "${file:gone}" }\nauth.basic = { username = "${file:gone}", password = "${GONE}" }'),
  );
  expect(lines).toHaveLength(3);
});
