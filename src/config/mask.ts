import type { Secret } from '../kit/secret.ts';

/** Replaces secrets in a text by `[redacted]`. */
export type Mask = (text: string) => string;

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

/** Keys whose values are names in metrics, logs and commands; a secret with the same text must not hide them. */
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
