/** Schemas of single values, and the listeners' shared settings. The message of every schema is the phrase after "expected" in a mistake. */
import { z } from 'zod';
import { Secret } from '../kit/secret.ts';
import type { RateLimit } from './config.ts';

/** The longest delay of a timer: above 2^31 - 1 ms Node fires immediately. */
const longestTimerMs = 2_147_483_647;

/** A value that another schema checks. */
export const anything = z.unknown().optional();

export const anyText = z.string({ error: 'a string' });

const nonEmpty = 'a string that is not empty';
export const text = z.string({ error: nonEmpty }).min(1, { error: nonEmpty });

export const flag = z.boolean({ error: 'true or false' });

/** A string that must never be printed. */
export const secret = text.transform((value) => new Secret(value));

/** A virtual host or a component's domain, in lower case. */
export const domain = z
  .string({ error: 'a domain name' })
  .regex(/^[^\s@/:]+$/, { error: 'a domain name' })
  .transform((value) => value.normalize('NFC').toLowerCase());

export const domains = z.array(domain, { error: 'a list of domain names' });

/** `hosts` of an attachment. */
export const attachmentHosts = domains.min(1, { error: 'a list of at least one domain name' }).optional();

const listenExpected = 'address:port, such as "127.0.0.1:9464" or "[::1]:9464"';

/** `address:port`; the address without brackets. Port 0 takes any free port. */
export const listen = z.string({ error: listenExpected }).transform((value, context) => {
  const [, bracketed, plain, port] = /^(?:\[([\da-f:.]+)\]|([^\s/:@[\]]+)):(\d{1,5})$/i.exec(value) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  context.addIssue({ code: 'custom', message: listenExpected });
  return z.NEVER;
});

export function whole(least: number, most = Number.MAX_SAFE_INTEGER): z.ZodNumber {
  const error = most === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

/** A share from 0 to 1. */
export const share = z
  .number({ error: 'a number from 0 to 1' })
  .min(0, { error: 'a number from 0 to 1' })
  .max(1, { error: 'a number from 0 to 1' });

export function oneOf<const T extends readonly string[]>(values: T): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(values, { error: `one of ${values.join(', ')}` });
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span of time in ms: a number of ms, or a string such as "500ms", "2s", "5m", "1h", "30d". */
export const duration = measure(durationUnits, 'a duration: milliseconds, or a string such as "500ms", "2s", "5m", "1h", "30d"');

/** A duration; `"forever"` is Infinity. */
export const durationOrForever = z.union([z.literal('forever').transform(() => Number.POSITIVE_INFINITY), duration], {
  error: 'a duration such as "30s", or "forever"',
});

/** A duration for a timer: 1 ms to 24 days. */
export const wait = duration
  .refine((ms) => ms >= 1, { error: 'a duration of 1 ms or more' })
  .refine((ms) => ms <= longestTimerMs, { error: 'a duration of at most 24 days' });

const sizeUnits: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

/** Bytes: a number, or a string such as "512KiB" or "10MB". */
export const size = measure(sizeUnits, 'a size: bytes, or a string such as "512KiB", "10MB", "1GB"');

/** A number of the smallest unit, or a string of a number and a unit. Keys of `units` are in lower case. */
function measure(units: Readonly<Record<string, number>>, expected: string): z.ZodType<number> {
  return z.unknown().transform((value, context) => {
    const amount = typeof value === 'string' ? amountOf(value, units) : value;
    if (typeof amount === 'number' && Number.isSafeInteger(amount) && amount >= 0) return amount;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

function amountOf(written: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(written) ?? [];
  const factor = unit === undefined ? undefined : units[unit.toLowerCase()];
  return factor === undefined ? undefined : Math.round(Number(digits) * factor);
}

/** A list; a single string is read as a list of one. */
export function listOf<T extends z.ZodType>(item: T, expected: string): z.ZodType<z.output<T>[]> {
  const list = z.array(item, { error: expected }).min(1, { error: `${expected}, with at least one` });
  return z.preprocess((value) => (typeof value === 'string' ? [value] : value), list);
}

/** A table without unknown keys. */
export function section<T extends z.core.$ZodLooseShape>(shape: T, expected = 'a table'): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : expected) });
}

/** Limits of a connection to an XMPP server. */
export const connectionLimits = {
  max_stanza_bytes: size.default(1024 * 1024),
  max_uncommitted_bytes: size.default(16 * 1024 * 1024),
  ping_interval: wait.default(30_000),
  ping_timeout: wait.default(10_000),
  connect_timeout: wait.default(10_000),
  reconnect_max: wait.default(60_000),
};

type ConnectionLimits = { readonly [Key in keyof typeof connectionLimits]: z.output<(typeof connectionLimits)[Key]> };

export function connectionLimitsOf(read: ConnectionLimits) {
  return {
    maxStanzaBytes: read.max_stanza_bytes,
    maxUncommittedBytes: read.max_uncommitted_bytes,
    pingIntervalMs: read.ping_interval,
    pingTimeoutMs: read.ping_timeout,
    connectTimeoutMs: read.connect_timeout,
    reconnectCapMs: read.reconnect_max,
  };
}

const rateLimitTable = section(
  { requests: whole(1), per: wait.default(1000), burst: whole(1).optional() },
  'a number of requests per second, or a table such as { requests = 100, per = "1s", burst = 200 }',
);

/** A token bucket; a number means requests per second. `burst` defaults to `requests`. */
export const rateLimit = z.preprocess((value) => (typeof value === 'number' ? { requests: value } : value), rateLimitTable);

export function rateLimitOf({ requests, per, burst = requests }: z.output<typeof rateLimitTable>): RateLimit {
  return { requests, perMs: per, burst };
}

/** Whether a listener on this address is reachable only from this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
