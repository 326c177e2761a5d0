/**
 * The kinds of single values in a configuration file. The message of every schema here and beside is the phrase after
 * "expected" in a mistake.
 */
import { z } from 'zod';
import { Secret } from '../../kit/secret.ts';

/** The longest wait of a timer: above 2^31 - 1 ms Node fires at once. */
const longestTimerMs = 2_147_483_647;

/** What another schema reads. */
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

const listenExpected = 'address:port, such as "127.0.0.1:9464" or "[::1]:9464"';

/** `address:port`; the address without brackets. Port 0 takes any free one. */
export const listen = z.string({ error: listenExpected }).transform((value, context) => {
  const [, bracketed, plain, port] = /^(?:\[([\da-f:.]+)\]|([^\s/:@[\]]+)):(\d{1,5})$/i.exec(value) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  context.addIssue({ code: 'custom', message: listenExpected });
  return z.NEVER;
});

export function whole(least: number, most = Number.MAX_SAFE_INTEGER): z.ZodNumber {
  const error = most === Number.MAX_SAFE_INTEGER ? `a whole number of ${least} or more` : `a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

/** A part of a whole: 0 to 1. */
export const part = z
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

/** A duration that a timer waits for: at least 1 ms, at most 24 days. */
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

/** A number of the smallest unit, or a string of a number and a unit. Units in the table are in lower case. */
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

/** A list, for which a single value may stand too. */
export function listOf<T extends z.ZodType>(item: T, expected: string): z.ZodType<z.output<T>[]> {
  const list = z.array(item, { error: expected }).min(1, { error: `${expected}, with at least one` });
  return z.preprocess((value) => (typeof value === 'string' ? [value] : value), list);
}

/** A table in which every key is known. */
export function section<T extends z.core.$ZodLooseShape>(shape: T, expected = 'a table'): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : expected) });
}
