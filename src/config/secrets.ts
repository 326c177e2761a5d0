/**
 * Which values of the configuration are secret, and how they are removed from output. Secret are the values of secret-looking keys, and
 * the values that a *reference* (`${NAME}`, `${file:/path}`; see interpolate.ts) supplied, except at the keys listed here.
 */
import { Secret } from '../kit/secret.ts';

const secretKey = /secret|token(?!_url$)|password|passphrase|credential|authorization|cookie|(^|[_-])(api|private|access)[_-]?key/i;

/** Whether values of this key are secret. */
export function isSecretKey(key: string): boolean {
  return secretKey.test(key);
}

/** Whether the value at a path of the configuration file is a secret even if it is written in the file. */
export function isSecretPath(path: readonly (number | string)[]): boolean {
  const keys = path.filter((step) => typeof step === 'string');
  const isPassword = keys[0] === 'attach' && keys[2] === 'users';
  const isDatabase = keys[0] === 'spool' && keys[1] === 'url'; // it contains a password
  const isSigningKey = keys.at(-1) === 'sign' || (keys.at(-2) === 'sign' && keys.at(-1) === 'keys');
  return isPassword || isSigningKey || isPoolHeader(keys) || isDatabase || isSecretKey(keys.at(-1) ?? '');
}

/** `headers`, `auth`, and their values, in `outgoing_pools.http.NAME`, which may be within `host_config`. Passwords are secret keys. */
function isPoolHeader(keys: readonly string[]): boolean {
  const [start, , , setting, ...inner] = keys[0] === 'host_config' ? keys.slice(1) : keys;
  return start === 'outgoing_pools' && (setting === 'headers' || (setting === 'auth' && inner.length <= 1));
}

/**
 * Keys of addresses, names and file names. Logs, metrics and commands show their values even if a reference supplied them.
 * Values of references at all other keys are secret.
 */
const publicKeys: ReadonlySet<string> = new Set([
  ...['allow', 'auth_method', 'default_host', 'domain', 'host', 'host_type', 'hosts', 'listen', 'origins', 'service', 'token_url'],
  ...['from', 'jid', 'no_proxy', 'reply_from', 'rooms', 'to'],
  ...['bcamappl', 'callback_module', 'http_exit', 'name', 'pool_name', 'send_through', 'tac'],
  ...['cacertfile', 'certfile', 'crl_files', 'keyfile', 'users_file'],
  ...['client', 'engine', 'feed', 'loglevel', 'ordering', 'overflow', 'scope', 'strategy', 'type'],
]);

/** Keys of durations and sizes. */
const measure = /(timeout|interval|_max|_age|_bytes|_size|_free)$|^(hold|max_open|open|per|schedule|ttl|window)$/;

/** Whether the value of a reference at a path of the configuration file may be printed. */
export function isPublicPath(path: readonly (number | string)[]): boolean {
  const keys = path.filter((step) => typeof step === 'string');
  if (keys.includes('options') || isSecretPath(path)) return false;
  const key = keys.at(-1) ?? '';
  const isSpoolPlace = keys[0] === 'spool' && (key === 'path' || key === 'schema');
  return isSpoolPlace || publicKeys.has(key) || measure.test(key) || keys.includes('listen');
}

/** A printable copy of a table: secrets and values of secret keys become `[redacted]`, other texts pass `mask`. */
export function withoutSecrets(value: Readonly<Record<string, unknown>>, mask: Mask): Readonly<Record<string, unknown>> {
  const shown: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) shown.push([key, isSecretKey(key) ? redactedText : printable(item, mask)]);
  }
  return Object.fromEntries(shown);
}

function printable(value: unknown, mask: Mask): unknown {
  if (typeof value === 'string') return mask(value);
  if (value instanceof Secret) return redactedText;
  if (value === Number.POSITIVE_INFINITY) return 'forever'; // JSON has no such number
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => printable(item, mask));
  return typeof value === 'object' && value !== null ? withoutSecrets({ ...value }, mask) : value;
}

/** Replaces secrets in a text by `[redacted]`. */
type Mask = (text: string) => string;

const redactedText = '[redacted]';

/** A text of this length is masked everywhere; a shorter one may occur in other words by chance. */
const shortestPart = 8;

/** A text of this length is masked as a whole segment of a path, a query or a header. */
const shortestSegment = 4;

/**
 * Makes a mask for whole values of any length, for longer texts also inside other values, and for shorter ones between the
 * delimiters of URLs and headers. Texts are recognised as written, percent-encoded, form-encoded and escaped in JSON.
 */
export function createMask(redacted: readonly Secret[]): Mask {
  const texts = [...new Set(redacted.map((secret) => secret.reveal()))].filter((text) => text !== '');
  const whole = new Set(texts.flatMap(spellings));
  const parts = longestFirst(texts.filter((text) => text.length >= shortestPart).flatMap(spellings));
  const segments = longestFirst(texts.filter((text) => text.length >= shortestSegment && text.length < shortestPart).flatMap(spellings));
  const segment = segments.length === 0 ? undefined : segmentPattern(segments);

  return (text) => {
    if (whole.has(text)) return redactedText;
    const shown = parts.reduce((rest, part) => rest.replaceAll(part, redactedText), text);
    return segment === undefined ? shown : shown.replace(segment, redactedText);
  };
}

function spellings(text: string): readonly string[] {
  const encoded = encodeURIComponent(Buffer.from(text).toString());
  return [...new Set([text, encoded, encoded.replaceAll('%20', '+'), JSON.stringify(text).slice(1, -1)])];
}

function longestFirst(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort((a, b) => b.length - a.length);
}

function segmentPattern(segments: readonly string[]): RegExp {
  const any = segments.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|');
  return new RegExp(`(?<=^|[/?&=#;,"']|Bearer |Basic )(?:${any})(?=$|[/?&=#;,"'])`, 'g');
}

/** Keys whose values are names in metrics, logs and commands; they are never masked, even if a secret has the same text. */
const naming: ReadonlySet<string> = new Set(['attachment', 'callback', 'event', 'handler', 'host', 'id', 'name', 'pool']);

/**
 * Hides the secrets of the configuration in all output of the service. It remembers the secrets of the
 * configurations before a reload, because deliveries on disk were made with them.
 */
export class Redactor {
  #secrets: readonly Secret[];
  #mask: Mask;

  constructor(secrets: readonly Secret[]) {
    this.#secrets = secrets;
    this.#mask = createMask(secrets);
  }

  /** Adds secrets to hide. */
  add(secrets: readonly Secret[]): void {
    const known = new Map([...this.#secrets, ...secrets].map((secret) => [secret.reveal(), secret]));
    this.#secrets = [...known.values()];
    this.#mask = createMask(this.#secrets);
  }

  readonly text: Mask = (text) => this.#mask(text);

  /** A copy of a plain value with every text in it masked. */
  readonly value = (value: unknown): unknown => {
    if (typeof value === 'string') return this.#mask(value);
    if (value instanceof Uint8Array) return this.bytes(value);
    if (Array.isArray(value)) return value.map(this.value);
    if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
    const shown = Object.entries(value).map(([key, item]): [string, unknown] => [key, naming.has(key) ? item : this.value(item)]);
    return Object.fromEntries(shown);
  };

  /** Masks a body. A body that is not UTF-8 is read as one character per byte, so that its other bytes do not change. */
  bytes(bytes: Uint8Array): Uint8Array {
    const given = Buffer.from(bytes);
    const encoding = Buffer.from(given.toString()).equals(given) ? 'utf8' : 'latin1';
    return Buffer.from(this.#mask(given.toString(encoding)), encoding);
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
