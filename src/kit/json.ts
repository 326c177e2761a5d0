/** Reads untrusted JSON. Text that is nested too deep for recursive code is rejected before it is parsed. */
type JsonRead = { readonly kind: 'not-json' } | { readonly kind: 'read'; readonly value: unknown } | { readonly kind: 'too-deep' };

/** Maximum nesting of untrusted JSON. Parsers in other languages have similar defaults. */
export const maxJsonDepth = 100;

/** Reads text as JSON, with or without a byte order mark (RFC 8259 §8.1), in time linear in its length. */
export function readJson(text: string): JsonRead {
  const json = text.startsWith('\uFEFF') ? text.slice(1) : text;
  if (isDeeper(json, maxJsonDepth)) return { kind: 'too-deep' };
  try {
    return { kind: 'read', value: JSON.parse(json) };
  } catch {
    return { kind: 'not-json' }; // JSON.parse throws only SyntaxError
  }
}

/** A member of an object: its value and its source text. */
interface JsonMember {
  readonly name: string;
  readonly value: unknown;
  readonly written: string;
}

type JsonMembers =
  | { readonly kind: 'members'; readonly members: Iterable<JsonMember> }
  | { readonly kind: 'no-object' }
  | { readonly kind: 'too-deep' };

/** Reads a JSON object as {@link readJson} does and keeps the source text of each member, because a double may not represent a number exactly. */
export function readJsonMembers(text: string): JsonMembers {
  const read = readJson(text);
  if (read.kind === 'too-deep') return read;
  const object = read.kind === 'read' ? asObject(read.value) : undefined;
  return object === undefined ? { kind: 'no-object' } : { kind: 'members', members: membersOf(text) };
}

/** The members of a JSON object, including duplicate names. */
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

/** The position of the comma or brace after a value. */
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

/** The value if it is a JSON object, excluding arrays and null. Its members are not validated. */
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

/** Whether brackets outside strings nest deeper than `levels`. Meaningless for text that is not JSON. */
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
