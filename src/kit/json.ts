/** JSON from outside: what is nested deeper than our own code could walk is not even parsed. */
export type JsonRead = { readonly kind: 'not-json' } | { readonly kind: 'read'; readonly value: unknown } | { readonly kind: 'too-deep' };

/** Levels of arrays and objects that JSON from outside may have. Parsers of other languages allow as few by default. */
export const maxJsonDepth = 100;

/** Reads text as JSON, with a byte order mark or without (RFC 8259 §8.1). Time is linear in its length, whatever it holds. */
export function readJson(text: string): JsonRead {
  const json = text.startsWith('\uFEFF') ? text.slice(1) : text;
  if (isDeeper(json, maxJsonDepth)) return { kind: 'too-deep' };
  try {
    return { kind: 'read', value: JSON.parse(json) };
  } catch {
    return { kind: 'not-json' }; // the one error there is
  }
}

/** A member of an object: what it is, and the text that says so. */
export interface JsonMember {
  readonly name: string;
  readonly value: unknown;
  readonly written: string;
}

export type JsonMembers =
  | { readonly kind: 'members'; readonly members: Iterable<JsonMember> }
  | { readonly kind: 'no-object' }
  | { readonly kind: 'too-deep' };

/** Reads text as {@link readJson} does, as a JSON object with each member as it is written: a number as a double may be another. */
export function readJsonMembers(text: string): JsonMembers {
  const read = readJson(text);
  if (read.kind === 'too-deep') return read;
  const object = read.kind === 'read' ? asObject(read.value) : undefined;
  return object === undefined ? { kind: 'no-object' } : { kind: 'members', members: membersOf(text) };
}

/** The members of text that is a JSON object, doubled names included. */
function* membersOf(json: string): Generator<JsonMember> {
  let at = json.indexOf('{') + 1;
  for (;;) {
    const start = json.indexOf('"', at);
    if (start < 0) return;
    const nameEnd = endOfString(json, start) + 1;
    const valueStart = json.indexOf(':', nameEnd) + 1;
    const valueEnd = endOfValue(json, valueStart);
    const written = json.slice(valueStart, valueEnd).trim();
    yield { name: String(JSON.parse(json.slice(start, nameEnd))), value: JSON.parse(written), written };
    at = valueEnd;
  }
}

/** Where the comma or brace behind a value stands. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code === quote) at = endOfString(json, at);
    else if (code === leftBrace || code === leftBracket) depth += 1;
    else if (depth > 0 && (code === rightBrace || code === rightBracket)) depth -= 1;
    else if (depth === 0 && (code === comma || code === rightBrace)) return at;
  }
  return json.length;
}

/** An object as JSON means it: no array, and not null. Its members are unchecked. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return isObject(value) ? value : undefined;
}

/** As {@link asObject}, but an empty array counts as an empty object: PHP writes both as `[]`. */
export function asMap(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return Array.isArray(value) && value.length === 0 ? {} : asObject(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Counts brackets outside of strings. What it says of text that is not JSON does not matter. */
function isDeeper(json: string, levels: number): boolean {
  let depth = 0;
  for (let at = 0; at < json.length; at += 1) {
    switch (json.charCodeAt(at)) {
      case quote:
        at = endOfString(json, at);
        break;
      case leftBrace:
      case leftBracket:
        depth += 1;
        if (depth > levels) return true;
        break;
      case rightBrace:
      case rightBracket:
        depth -= 1;
        break;
      default:
    }
  }
  return false;
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json.charCodeAt(at) !== quote) at += json.charCodeAt(at) === backslash ? 2 : 1;
  return at;
}

const quote = 0x22;
const comma = 0x2c;
const leftBracket = 0x5b;
const backslash = 0x5c;
const rightBracket = 0x5d;
const leftBrace = 0x7b;
const rightBrace = 0x7d;
