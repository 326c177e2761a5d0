import type { Decode } from './charset.ts';

/** By name, in the order in which they came. */
export type Fields = ReadonlyMap<string, string>;

export type ReadFields = { readonly kind: 'fields'; readonly fields: Fields } | { readonly kind: 'problem'; readonly text: string };

/** Reads `application/x-www-form-urlencoded`: `body` holds one character for each byte, `decode` reads what they stand for. */
export function readFormFields(body: string, decode: Decode): ReadFields {
  const fields = new Map<string, string>();
  for (const pair of body === '' ? [] : body.split('&')) {
    const equals = pair.indexOf('=');
    const name = unescaped(equals < 0 ? pair : pair.slice(0, equals), decode);
    const value = unescaped(equals < 0 ? '' : pair.slice(equals + 1), decode);
    if (name === undefined || value === undefined) return { kind: 'problem', text: 'a %-escape is broken, or not of the charset' };
    if (fields.has(name)) return { kind: 'problem', text: `the field ${name} is there twice` };
    fields.set(name, value);
  }
  return { kind: 'fields', fields };
}

function unescaped(text: string, decode: Decode): string | undefined {
  if (/%(?![\da-f]{2})/i.test(text)) return undefined;
  const bytes = text.replaceAll('+', ' ').replaceAll(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return decode(Buffer.from(bytes, 'latin1'));
}

/** Reads a JSON object: strings as they are, null as nothing, everything else as JSON. */
export function readJsonFields(body: string): ReadFields {
  const read = parse(body);
  if (typeof read !== 'object' || read === null || Array.isArray(read)) return { kind: 'problem', text: 'the body is no JSON object' };
  const known = Object.entries(read).filter(([, value]) => value !== null);
  return {
    kind: 'fields',
    fields: new Map(known.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])),
  };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined; // which is no object either
  }
}
