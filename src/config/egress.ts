/** `[egress]`, and `proxy` of a pool: how connections to backends leave this machine. */
import { z } from 'zod';
import { parseHostRule, parseNetwork } from '../kit/network.ts';
import { Secret } from '../kit/secret.ts';
import type { PoolConfig } from './config.ts';
import type { SectionReader } from './section-reader.ts';
import { section } from './values.ts';

/** The defaults of all pools, and what they have in common. */
export type EgressConfig = PoolConfig['egress'];

const maxEntries = 1000;

const proxyExpected = 'http://host[:port] or http://user:password@host[:port] of a proxy';

/** Secret because of its password. */
const proxyUrl = z
  .string({ error: proxyExpected })
  .max(2048, { error: proxyExpected })
  .refine(isProxyUrl, { error: proxyExpected })
  .transform((text) => new Secret(text));

function isProxyUrl(text: string): boolean {
  if (!/^http:\/\//i.test(text) || !URL.canParse(text)) return false;
  const { pathname, search, hash, username, password } = new URL(text);
  return pathname === '/' && search + hash === '' && [username, password].every(isDecodable);
}

function isDecodable(text: string): boolean {
  try {
    return !/\p{Cc}/u.test(decodeURIComponent(text));
  } catch {
    return false; // a percent sign that encodes nothing
  }
}

/** `proxy` of a pool. */
export const poolProxy = z.union([z.literal(false), proxyUrl], { error: `${proxyExpected}, or false for none` }).optional();

const directExpected =
  'hosts, ".suffix", addresses or CIDRs, each with or without ":port", as a list, or as a string with commas as in NO_PROXY';

const direct = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(',').flatMap((entry) => (entry.trim() === '' ? [] : [entry.trim()])) : value),
  z
    .array(
      z
        .string({ error: directExpected })
        .refine((text) => text === '*' || parseHostRule(text.replace(/^\./, '*.')) !== undefined, { error: directExpected }),
      { error: directExpected },
    )
    .max(maxEntries, { error: `at most ${maxEntries} hosts` }),
);

const addressExpected = 'an address or a CIDR, such as "169.254.169.254" or "fe80::/10"';

export const egressSchema = section({
  proxy: proxyUrl.optional(),
  no_proxy: direct.default(['localhost', '127.0.0.0/8', '::1']),
  allow: z
    .array(
      z.string({ error: addressExpected }).refine((text) => parseNetwork(text) !== undefined, { error: addressExpected }),
      {
        error: 'a list of addresses',
      },
    )
    .max(maxEntries, { error: `at most ${maxEntries} addresses` })
    .default([]),
});

/** Without proxy and exceptions. */
export const defaultEgress: EgressConfig = { proxy: undefined, direct: [], allow: [] };

/** Reads `[egress]`. */
export function readEgress(value: unknown, reader: SectionReader): EgressConfig {
  const egress = reader.read(egressSchema, value ?? {}, ['egress']);
  return egress === undefined ? defaultEgress : { proxy: egress.proxy, direct: egress.no_proxy, allow: egress.allow };
}

/** The egress of a pool with this `proxy`. */
export function egressOf(proxy: z.output<typeof poolProxy>, egress: EgressConfig): EgressConfig {
  return proxy === undefined ? egress : { ...egress, proxy: proxy === false ? undefined : proxy };
}

/** The passwords of proxies, as written and as they are sent. */
export function proxySecretsIn({ egress: { proxy } }: Pick<PoolConfig, 'egress'>): readonly Secret[] {
  if (proxy === undefined) return [];
  const { username, password } = new URL(proxy.reveal());
  if (password === '') return [];
  const plain = decodeURIComponent(password);
  const basic = Buffer.from(`${decodeURIComponent(username)}:${plain}`).toString('base64');
  return [password, plain, basic].map((text) => new Secret(text));
}

/** A proxy without its password, to show. */
export function shownProxy(proxy: Secret | undefined): string | undefined {
  if (proxy === undefined) return undefined;
  const { host, username, password } = new URL(proxy.reveal());
  const credentials = password === '' ? username : `${username}:[redacted]`;
  return `http://${credentials === '' ? '' : `${credentials}@`}${host}`;
}
