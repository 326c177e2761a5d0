// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in the file look like templates
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { checkAsJson, renderCheck } from '../../src/cli/check.ts';
import { createMask } from '../../src/config/secrets.ts';
import { load, mistakeLines, pool } from './write-config.ts';

const pools = (proxy: string) => `${pool}[outgoing_pools.http.http_pool]\nproxy = ${proxy}\n`;

test('a pool has the proxy of [egress], its own, or none', async () => {
  const egress = '[egress]\nproxy = "http://all.internal:3128"\nno_proxy = ".a, 10.0.0.0/8,"\nallow = ["fe80::/10"]\n';
  const proxyOf = async (text: string) => (await load(`${egress}${text}`)).pools[0]?.egress;
  expect((await proxyOf(pool))?.proxy?.reveal()).toBe('http://all.internal:3128');
  expect((await proxyOf(pools('"http://own:8080"')))?.proxy?.reveal()).toBe('http://own:8080');
  expect(await proxyOf(pools('false'))).toEqual({ proxy: undefined, direct: ['.a', '10.0.0.0/8'], allow: ['fe80::/10'] });
  expect((await load(pool)).pools[0]?.egress).toEqual({ proxy: undefined, direct: ['localhost', '127.0.0.0/8', '::1'], allow: [] });
});

test('the password of a proxy is in no output', async () => {
  const config = await load(pools('"http://pusher:s3cr%20et-pw@own:8080"'));
  const shown = renderCheck(config);
  expect(shown).toContain('proxy = "http://pusher:[redacted]@own:8080"\n');
  expect([shown, JSON.stringify(checkAsJson(config)), inspect(config, { depth: 9 })].join()).not.toMatch(/s3cr.{1,3}et-pw/);
  const basic = Buffer.from('pusher:s3cr et-pw').toString('base64');
  expect(createMask(config.redacted)(`s3cr et-pw s3cr%20et-pw ${basic}`)).toBe('[redacted] [redacted] [redacted]');
});

test.each([
  ['[egress]\nproxy = "socks5://a:1"', 'egress.proxy'],
  ['[egress]\nproxy = "http://a:1/path"', 'egress.proxy'],
  ['[egress]\nproxy = "http://u:%zz@a:1"', 'egress.proxy'],
  ['[egress]\nno_proxy = ["a b"]', 'egress.no_proxy[0]'],
  ['[egress]\nno_proxy = 7', 'egress.no_proxy'],
  ['[egress]\nallow = ["metadata.google.internal"]', 'egress.allow[0]'],
  ['[egress]\nprox = "http://a:1"', 'egress.prox'],
  [pools('true'), 'outgoing_pools.http.http_pool.proxy'],
])('%j is a mistake', async (text, path) => {
  const [line, ...others] = await mistakeLines(text);
  expect([line?.startsWith(`${path}: `), others], line).toEqual([true, []]);
});
