// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { checkAsJson, renderCheck } from '../../src/cli/check.ts';
import { describeDifferences } from '../../src/config/reload.ts';
import { load, mistakeLines, pool } from './write-config.ts';

const newKey = (bytes: number): string => `whsec_${randomBytes(bytes).toString('base64')}`;
const keys = [newKey(24), newKey(32), newKey(64)] as const;
const handler = '[modules.mod_event_pusher.backend.http]\nname = "push"\n';
const signed = (ofPool: string, ofHandler = ''): string =>
  `[general]\nhosts = ["localhost"]\n[outgoing_pools.http.http_pool]\n${ofPool}\n${pool}${handler}${ofHandler}`;

test('keys of a pool and of a handler are read, from the file, the environment and other files', async () => {
  const text = signed('sign = { scheme = "standard-webhooks", keys = ["${KEY}", "${file:key}"] }', `sign = { keys = "${keys[2]}" }`);
  const config = await load(text, { env: { KEY: keys[0] }, files: { key: `${keys[1]}\n` } });
  expect(config.pools[0]?.sign?.map((key) => key.reveal())).toEqual([keys[0], keys[1]]);
  expect(config.handlers[0]?.sign?.map((key) => key.reveal())).toEqual([keys[2]]);
});

test('the effective configuration shows that requests are signed, and no key', async () => {
  const config = await load(signed(`sign = { keys = ["${keys[0]}", "${keys[1]}"] }`, `sign = { keys = "${keys[2]}" }`));
  const shown = renderCheck(config);
  expect(shown).toContain('sign.scheme = "standard-webhooks"\n');
  expect(shown).toContain('sign.keys = ["[redacted]", "[redacted]"]\n');
  const everything = [shown, JSON.stringify(checkAsJson(config)), inspect(config, { depth: 9 }), JSON.stringify(config)].join();
  for (const key of keys) expect(everything).not.toContain(key.slice('whsec_'.length));
  expect(config.redacted.map((secret) => secret.reveal())).toEqual(expect.arrayContaining([...keys]));
});

test('another key is a difference of the pool, which is not shown', async () => {
  const before = await load(signed(`sign = { keys = "${keys[0]}" }`));
  expect(describeDifferences(before, await load(signed(`sign = { keys = "${keys[1]}" }`)))).toBe('pools changed http_pool');
});

const aKey = '"whsec_" followed by the base64 of 24 to 64 random bytes, as of "event-pusher keys generate"';

test.each([
  ['without its prefix', `keys = ["${keys[0].slice(6)}"]`, 'sign.keys[0]', aKey],
  ['too short', `keys = ["${newKey(23)}"]`, 'sign.keys[0]', aKey],
  ['too long', `keys = ["${newKey(65)}"]`, 'sign.keys[0]', aKey],
  ['without its padding', `keys = ["${newKey(32).replace(/=+$/, '')}"]`, 'sign.keys[0]', aKey],
  ['in the alphabet of URLs', `keys = ["whsec_${'-_'.repeat(20)}"]`, 'sign.keys[0]', aKey],
  ['alone and too short', `keys = "whsec_${'a'.repeat(8)}"`, 'sign.keys', aKey],
  ['listed twice', `keys = ["${keys[0]}", "${keys[0]}"]`, 'sign.keys', 'each signing key once'],
])('a key %s is a mistake that does not print it', async (_what, entry, at, expected) => {
  const [line, ...others] = await mistakeLines(signed(`sign = { ${entry} }`));
  expect(others).toEqual([]);
  expect(line).toContain(`outgoing_pools.http.http_pool.${at}: `);
  expect(line).toContain(`expected ${expected}`);
  for (const [, key = ''] of entry.matchAll(/"(?:whsec_)?([^"]*)"/g)) expect(line).not.toContain(key);
});

test('a key in place of the table, an unknown scheme and a misspelt option are mistakes', async () => {
  expect(await mistakeLines(signed(`sign = "${keys[0]}"`, 'sign = { scheme = "hmac", keyz = [] }'))).toEqual([
    expect.stringMatching(/^outgoing_pools\.http\.http_pool\.sign: received (?!.*whsec_[A-Za-z0-9]).*, expected a table such as/),
    expect.stringContaining('sign.scheme: received "hmac", expected one of standard-webhooks'),
    expect.stringContaining('sign.keys: received nothing, expected'),
    expect.stringContaining('sign.keyz: received an unknown key, expected one of scheme, keys (did you mean "keys"?)'),
  ]);
});
