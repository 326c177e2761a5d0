/** Reads the body of a request as named fields, for the exit `*SYSTEM`: a form, or a JSON object. */
import { readJsonMembers } from '../../../kit/json.ts';
import type { Decode } from './decoders.ts';

/** By name, in the order in which they came. */
export type Fields = ReadonlyMap<string, string>;

type ReadFields = { readonly kind: 'fields'; readonly fields: Fields } | Problem;

interface Problem {
  readonly kind: 'problem';
  readonly text: string;
}

const maxFields = 1000;

/** Reads `application/x-www-form-urlencoded`; `decode` decodes the unescaped bytes. */
export function readFormFields(body: Buffer, decode: Decode): ReadFields {
  const fields = new Map<string, string>();
  for (const [name, value] of pairs(body)) {
    const [nameText, valueText] = [read(name, decode), read(value, decode)];
    if (nameText === undefined || valueText === undefined) return problem('a %-escape is malformed or invalid in the charset');
    const trouble = put(fields, nameText, valueText);
    if (trouble !== undefined) return trouble;
  }
  return { kind: 'fields', fields };
}

function* pairs(body: Buffer): Generator<readonly [name: Buffer, value: Buffer]> {
  for (let start = 0; start < body.length; ) {
    const next = body.indexOf('&', start);
    const pair = body.subarray(start, next < 0 ? body.length : next);
    start += pair.length + 1;
    if (pair.length === 0) continue;
    const equals = pair.indexOf('=');
    yield equals < 0 ? [pair, Buffer.alloc(0)] : [pair.subarray(0, equals), pair.subarray(equals + 1)];
  }
}

function read(escaped: Buffer, decode: Decode): string | undefined {
  const bytes = unescaped(escaped);
  return bytes && decode(bytes);
}

const [percent, plus, space] = [0x25, 0x2b, 0x20];

/** Undefined if a %-escape is malformed. */
function unescaped(escaped: Buffer): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(escaped.length);
  let length = 0;
  for (let at = 0; at < escaped.length; at += 1, length += 1) {
    const byte = escaped[at] ?? 0;
    bytes[length] = byte === plus ? space : byte;
    if (byte !== percent) continue;
    const [high, low] = [hexDigit(escaped[at + 1]), hexDigit(escaped[at + 2])];
    if (high === undefined || low === undefined) return undefined;
    bytes[length] = 16 * high + low;
    at += 2;
  }
  return bytes.subarray(0, length);
}

function hexDigit(byte = 0): number | undefined {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
}

/** Reads a JSON object: strings as they are, everything else as its source text. A null is an absent field. Numbers keep every digit. */
export function readJsonFields(body: string): ReadFields {
  const object = readJsonMembers(body);
  if (object.kind === 'too-deep') return problem('the JSON is nested too deep');
  if (object.kind === 'no-object') return problem('the body is not a JSON object');
  const fields = new Map<string, string>();
  for (const { name, value, written } of object.members) {
    if (value === null) continue;
    const text = typeof value === 'number' ? numberText(written) : typeof value === 'string' ? value : written;
    if (text === undefined) return problem(`the number in the field ${name} cannot be read exactly; send it as a string`);
    if (loneSurrogate.test(name) || loneSurrogate.test(text)) return problem('a string is not well-formed Unicode');
    const trouble = put(fields, name, text);
    if (trouble !== undefined) return trouble;
  }
  return { kind: 'fields', fields };
}

const loneSurrogate = /[\ud800-\udfff]/u;

/** An integer as written; any other number as its double, if that has the same value. */
function numberText(written: string): string | undefined {
  if (/^-?\d+$/.test(written)) return written === '-0' ? '0' : written;
  if (written.length > longestDouble) return undefined;
  const text = String(Number(written));
  return decimal(text) === decimal(written) ? text : undefined;
}

/** Maximum length in characters; the smallest double has 324 leading zeros and 17 significant digits. */
const longestDouble = 400;

/**
 * The canonical text of a number: digits without leading and trailing zeros, and the exponent of the last digit. Undefined for
 * `Infinity`, which is not a number of JSON.
 */
function decimal(written: string): string | undefined {
  const [, sign = '', whole = '', fraction = '', power = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(written) ?? [];
  const all = `${whole}${fraction}`.replace(/^0+/, '');
  const digits = all.replace(/0+$/, '');
  return digits === ''
    ? whole === ''
      ? undefined
      : '0'
    : `${sign}${digits}e${Number(power) - fraction.length + all.length - digits.length}`;
}

function put(fields: Map<string, string>, name: string, value: string): Problem | undefined {
  if (fields.has(name)) return problem(`duplicate field ${name}`);
  if (fields.size >= maxFields) return problem(`more than ${maxFields} fields`);
  fields.set(name, value);
  return undefined;
}

function problem(text: string): Problem {
  return { kind: 'problem', text };
}
