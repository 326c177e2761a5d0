const TAB = 0x09;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
export const BANG = 0x21;
export const QUOTE = 0x22;
export const APOSTROPHE = 0x27;
export const DASH = 0x2d;
export const SLASH = 0x2f;
export const LESS = 0x3c;
export const GREATER = 0x3e;
export const QUESTION = 0x3f;
export const BRACKET = 0x5d;

/** Where `byte` stands next, from `from` on; the chunk's length when it does not. */
export function indexOf(chunk: Buffer, byte: number, from: number): number {
  let at = from;
  while (at < chunk.length && chunk[at] !== byte) at += 1;
  return at;
}

/** The first place from `from` on that is no white space; the chunk's length when all is. */
export function afterSpace(chunk: Buffer, from: number): number {
  let at = from;
  while (at < chunk.length && isSpace(chunk[at])) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === RETURN || byte === TAB;
}

/** Whether a name may begin with this byte. Any byte of a longer UTF-8 sequence passes: the parser knows which characters are names. */
export function isNameStart(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || byte === 0x3a || byte >= 0x80;
}
