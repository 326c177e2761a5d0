/**
 * Verifies the signature of a received request as a receiver does (Standard Webhooks 1.0.0), and explains a failure. A signature that
 * does not match does not show why, so common changes of a body are undone: the one whose original matches is the explanation.
 */
import { Signer } from '../../pools/sign.ts';
import type { CapturedRequest } from './captured-request.ts';
import { counted } from './terminal.ts';

export type Finding =
  /** `key` is the position of the key in the list, from 1. */
  | { readonly kind: 'valid'; readonly detail: string; readonly key: number }
  | {
      readonly kind:
        | 'body-changed'
        | 'header-invalid'
        | 'header-missing'
        | 'header-repeated'
        | 'no-signature-matches'
        | 'timestamp-too-new'
        | 'timestamp-too-old';
      readonly detail: string;
    };

interface Expectation {
  readonly keys: readonly string[];
  /** Permitted difference between the timestamp and now. */
  readonly toleranceMs: number;
  readonly now: number;
}

/** The signed part of a request, and the signatures that it has. */
interface Signed {
  readonly id: string;
  readonly timestamp: string;
  readonly signatures: readonly string[];
  readonly body: Buffer;
}

export function verifySignature(request: CapturedRequest, { keys, toleranceMs, now }: Expectation): Finding {
  const wrong = names.map((name) => wrongHeader(request, name)).find((finding) => finding !== undefined);
  if (wrong !== undefined) return wrong;
  const signed = signedIn(request);
  const key = matchingKey(signed, keys);
  if (key === undefined) return mismatch(request, signed, keys);

  const ageSeconds = Math.round(now / 1000 - Number(signed.timestamp));
  const distance = `webhook-timestamp is ${counted(Math.abs(ageSeconds), 'second')} ${ageSeconds < 0 ? 'in the future' : 'old'}`;
  if (Math.abs(ageSeconds) * 1000 > toleranceMs) {
    const permitted = counted(Math.floor(toleranceMs / 1000), 'second');
    const detail = `the signature is valid, but ${distance}, and ${permitted} are permitted; --tolerance changes that`;
    return { kind: ageSeconds < 0 ? 'timestamp-too-new' : 'timestamp-too-old', detail };
  }
  return { kind: 'valid', detail: `signed with key ${key} of ${keys.length}; ${distance}`, key };
}

const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const;

const forms = {
  'webhook-id': [/^\S+$/, 'an id without spaces'],
  'webhook-signature': [/^(.* )?v1,[A-Za-z0-9+/]{43}=( .*)?$/, 'at least one signature "v1,…" of 32 bytes in base64'],
  'webhook-timestamp': [/^\d{1,12}$/, 'seconds since 1970'],
} as const;

function wrongHeader({ headers }: CapturedRequest, name: (typeof names)[number]): Finding | undefined {
  const values = headers.flatMap(([each, value]) => (each === name ? [value] : []));
  const [value] = values;
  if (value === undefined) return { kind: 'header-missing', detail: `the request has no header ${name}` };
  if (values.length > 1) {
    return {
      kind: 'header-repeated',
      detail: `the request has ${values.length} headers ${name}, and receivers differ in which one they read`,
    };
  }
  const [form, expected] = forms[name];
  if (form.test(value)) return undefined;
  const shown = JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  return { kind: 'header-invalid', detail: `${name} is ${shown}, expected ${expected}` };
}

function signedIn({ headers, body }: CapturedRequest): Signed {
  const [id = '', timestamp = '', signatures = ''] = names.map((name) => headers.find(([each]) => each === name)?.[1]);
  return { id, timestamp, signatures: signatures.split(' '), body };
}

/** The position of the first key that has made one of the signatures, from 1. */
function matchingKey({ id, timestamp, signatures, body }: Signed, keys: readonly string[]): number | undefined {
  const headers = new Signer({ ofPool: keys, ofHandlers: [] }).sign({ id, body }, ['webhook-timestamp', timestamp]);
  const at = (headers.at(-1) ?? '').split(' ').findIndex((signature) => signatures.includes(signature));
  return at < 0 ? undefined : at + 1;
}

function mismatch({ headers }: CapturedRequest, signed: Signed, keys: readonly string[]): Finding {
  const { body } = signed;
  for (const [change, original] of originalsOf(body)) {
    if (matchingKey({ ...signed, body: original }, keys) !== undefined)
      return { kind: 'body-changed', detail: `the body was changed: ${change}` };
  }
  const length = headers.find(([name]) => name === 'content-length')?.[1];
  if (length !== undefined && length !== String(body.length)) {
    return {
      kind: 'body-changed',
      detail: `the body is not as it was sent: it has ${counted(body.length, 'byte')}, content-length is ${length}`,
    };
  }
  if (
    headers.some(([name, value]) => name === 'transfer-encoding' && /chunked/i.test(value)) &&
    /^[\da-f]+\r\n/i.test(body.toString('latin1', 0, 32))
  ) {
    return { kind: 'body-changed', detail: 'the body is still in chunks: capture it as the receiver decodes it' };
  }
  const which = keys.length === 1 ? 'the key' : `any of the ${keys.length} keys`;
  const detail = `no signature was made with ${which} for this id, timestamp and body: they were signed with another key, or changed since`;
  return { kind: 'no-signature-matches', detail };
}

/** Changes that programs make to a body before it is verified, each with the body before the change. */
function* originalsOf(body: Buffer): Generator<readonly [change: string, original: Buffer]> {
  const text = body.toString('latin1');
  const withoutEnd = text.replace(/\r?\n$/, '');
  if (withoutEnd !== text) yield ['a line break was added at its end', Buffer.from(withoutEnd, 'latin1')];
  yield ['its last line break is missing', Buffer.from(`${text}\n`, 'latin1')];
  if (text.includes('\r\n')) yield ['its line breaks were LF and are CR LF', Buffer.from(text.replaceAll('\r\n', '\n'), 'latin1')];
  else if (text.includes('\n')) yield ['its line breaks were CR LF and are LF', Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')];
  if (text.startsWith('\xef\xbb\xbf')) yield ['a byte order mark was added', body.subarray(3)];
  const compact = compactJson(body);
  if (compact !== undefined) yield ['it was parsed as JSON and written with other spaces', Buffer.from(compact)];
}

/** Undefined if the body is not JSON, or nested too deeply to be written. */
function compactJson(body: Buffer): string | undefined {
  try {
    return JSON.stringify(JSON.parse(body.toString()));
  } catch {
    return undefined; // then it was not changed by a JSON library
  }
}
