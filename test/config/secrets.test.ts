// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkAsJson, renderCheck } from '../../src/cli/check.ts';
import { renderMistakes } from '../../src/cli/command-line.ts';
import { ConfigInvalid, mistakeLine } from '../../src/config/mistakes.ts';
import { createMask } from '../../src/config/secrets.ts';
import { Secret } from '../../src/kit/secret.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { load, mistakesOf } from './write-config.ts';

/** Secrets that occur in no output by chance, some with characters that need escaping. */
const secretText = fc.stringMatching(/^[A-Z"\\'=# ]{4,20}$/).map((text) => `S3cr3t${text}`);

/** Every setting that may contain a secret, each with its own reference. */
const everywhere = (broken: string): string => `
[attach.chat]
type = "component"
service = "xmpp://127.0.0.1"
domain = "pusher.localhost"
secret = "\${COMPONENT}"
hosts = ["localhost"]
[outgoing_pools.http.http_pool.connection]
host = "https://localhost"
path_prefix = "/\${PART}"
tls = { certfile = "cert.pem", keyfile = "key.pem", password = "\${PASSPHRASE}" }
[modules.mod_event_pusher.backend.http]
path = "/hooks/\${file:hook}/\${PART}"
options = { api_key = "\${OPTION}", header = "Bearer \${OPTION}", deep = [{ x = "\${file:option}" }] }
[admin]
listen = "0.0.0.0:0"
token = "\${file:token}"
[metrics]
token = "\${METRICS}"
${broken}`;

const identity = makeSelfSigned(['DNS:localhost']);

test('the printed configuration contains no secret', async () => {
  await fc.assert(
    fc.asyncProperty(secretText, async (text) => {
      const config = await load(everywhere(''), given(text));
      const [chat] = config.attachments;
      expect(chat?.type === 'component' && chat.secret.reveal()).toBe(`${text}1`);
      expect(config.handlers[0]?.options['header']).toBe(`Bearer ${text}3`);

      const json = JSON.stringify(checkAsJson(config));
      for (const shown of [renderCheck(config), json, inspect(config.attachments), config.notices.join('\n')]) expectNo(text, shown);
      expectNo(identity.key.split('\n')[1] ?? '', json);
    }),
    { numRuns: 25 },
  );
});

test.each([
  ['an unknown key', '[spol]'],
  ['a number too small', '[outgoing_pools.http.http_pool]\nworkers = 0\n'],
  [
    'a secret where something else belongs',
    '[general]\nloglevel = "${COMPONENT}"\n[callbacks]\ntimeout = "${file:token}"\n[service]\ndrain_timeout = "${METRICS}"\n[[modules.mod_event_pusher_http]]\npool_name = "${OPTION}"',
  ],
])('mistakes contain no secret: %s', async (_, broken) => {
  await fc.assert(
    fc.asyncProperty(secretText, async (text) => {
      const error = await load(everywhere(broken), given(text)).catch((thrown: unknown) => thrown);
      if (!(error instanceof ConfigInvalid)) throw new Error('expected CONFIG_INVALID', { cause: error });
      for (const shown of [error.message, renderMistakes(error.mistakes), inspect(error)]) expectNo(text, shown);
    }),
    { numRuns: 10 },
  );
});

test('a mask replaces whole values of any length, and long texts inside other values', () => {
  const mask = createMask([new Secret('abc'), new Secret('long enough'), new Secret('long enough to hold the other'), new Secret('')]);
  expect(mask('abc')).toBe('[redacted]');
  expect(mask('abcdef')).toBe('abcdef');
  expect(mask('it is long enough!')).toBe('it is [redacted]!');
  expect(mask('long enough to hold the other one')).toBe('[redacted] one');
  expect(mask('')).toBe('');
});

test('a mask recognises secrets in URLs, forms and JSON, and short ones between delimiters', () => {
  const mask = createMask([new Secret('a "long" secret'), new Secret('s3cr')]);
  expect(mask('/x?key=a%20%22long%22%20secret&b=1')).toBe('/x?key=[redacted]&b=1');
  expect(mask('key=a+%22long%22+secret')).toBe('key=[redacted]');
  expect(mask('{"key":"a \\"long\\" secret"}')).toBe('{"key":"[redacted]"}');
  expect(mask('/hooks/s3cr/in?t=s3cr and s3cret')).toBe('/hooks/[redacted]/in?t=s3cr and s3cret');
  expect(mask('Bearer s3cr')).toBe('Bearer [redacted]');
});

test.each([
  ['users = "shop:hunter2"', 'attach.front.users: received a string'],
  ['users = { shop = 5 }', 'attach.front.users.shop: received a number'],
  ['token = "hunter2"', 'attach.front.token: received an unknown key'],
  ['origins = "https://user:hunter2@app.example"', 'attach.front.origins: received '],
])('mistakes contain no misplaced password: %s', async (line, told) => {
  const text = `[general]\nhosts = ["localhost"]\n[attach.front]\ntype = "http"\nlisten = "127.0.0.1:0"\n${line}\n[[attach.front.descriptors]]\nname = "FORM"\ntac = "PUSH"\n`;
  const lines = (await mistakesOf(text)).map(mistakeLine).join('\n');
  expect(lines).toContain(told);
  expect(lines).not.toContain('hunter2');
});

test('addresses and names from the environment are printed', async () => {
  const env = {
    DOMAIN: 'chat.example',
    BACKEND: 'https://backend.example',
    SERVICE: 'xmpp://127.0.0.1:5347',
    HANDLER: 'a-handler',
    WAIT: '30s',
  };
  const text = `
[general]
hosts = ["\${DOMAIN}"]
[attach.chat]
type = "component"
service = "\${SERVICE}"
domain = "pusher.\${DOMAIN}"
secret = "a secret of the test"
[outgoing_pools.http.http_pool]
call_timeout = "\${WAIT}"
connection = { host = "\${BACKEND}" }
[modules.mod_event_pusher.backend.http]
name = "\${HANDLER}"`;
  const shown = renderCheck(await load(text, { env }));
  for (const value of Object.values(env)) expect(shown).toContain(value);
});

function given(text: string) {
  const files = {
    'cert.pem': identity.cert,
    'key.pem': identity.key,
    hook: encodeURIComponent(`${text}4`).replaceAll("'", '%27'),
    option: `${text}5`,
    token: `${text}6`,
  };
  return {
    env: {
      COMPONENT: `${text}1`,
      PASSPHRASE: `${text}2`,
      OPTION: `${text}3`,
      METRICS: `${text}7`,
      PART: encodeURIComponent(`${text}8`).replaceAll("'", '%27'),
    },
    files,
  };
}

/** Every secret of a run begins with the same text; quoting may have changed what follows the first letters. */
function expectNo(text: string, shown: string): void {
  expect(shown).not.toContain(text);
  expect(shown).not.toContain('S3cr3t');
}
