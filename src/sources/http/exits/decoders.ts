/** Decodes text in any charset of the Encoding Standard. */

/** Decodes bytes; undefined if they are invalid. A byte order mark is a character. */
export type Decode = (bytes: Buffer) => string | undefined;

/** The decoders of charsets, each made once. */
export class Decoders {
  readonly #made = new Map<string, Decode>();

  /** The decoder for any label of a charset; undefined for a label that the standard does not define. */
  of(charset: string): Decode | undefined {
    const name = nameOf(charset);
    if (name === undefined) return undefined;
    const decode = this.#made.get(name) ?? decoderOf(name);
    this.#made.set(name, decode);
    return decode;
  }
}

/** The charset of a leading byte order mark, which overrides the label (§6, "BOM sniff"). */
export function readMark(bytes: Buffer): { readonly charset: string; readonly length: number } | undefined {
  if (bytes.subarray(0, 3).equals(Buffer.of(0xef, 0xbb, 0xbf))) return { charset: 'utf-8', length: 3 };
  if (bytes.subarray(0, 2).equals(Buffer.of(0xfe, 0xff))) return { charset: 'utf-16be', length: 2 };
  if (bytes.subarray(0, 2).equals(Buffer.of(0xff, 0xfe))) return { charset: 'utf-16le', length: 2 };
  return undefined;
}

/** The characters from 0x80 of charsets that Node lacks or, for windows-1252, decodes as ISO 8859-1. */
const upperHalves: Readonly<Record<string, string>> = {
  'iso-8859-16': `${characters(0x80, 33)}ĄąŁ€„Š§š©Ș«Ź\u00adźŻ°±ČłŽ”¶·žčș»ŒœŸżÀÁÂĂÄĆÆÇÈÉÊËÌÍÎÏĐŃÒÓÔŐÖŚŰÙÚÛÜĘȚßàáâăäćæçèéêëìíîïđńòóôőöśűùúûüęțÿ`,
  'windows-1252': `€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ${characters(0xa0, 96)}`,
  'x-user-defined': characters(0xf780, 128),
};

function characters(first: number, count: number): string {
  return String.fromCharCode(...Array.from({ length: count }, (_, index) => first + index));
}

/** Bytes that Node 20 or its ICU decodes differently from the standard; empty: unassigned. */
const corrections: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  'koi8-u': { 174: 'ў', 190: 'Ў' },
  'windows-874': { 219: '', 220: '', 221: '', 222: '', 252: '', 253: '', 254: '', 255: '' },
  'windows-1253': { 170: '' },
  'windows-1255': { 202: '\u05ba' },
};

function nameOf(charset: string): string | undefined {
  const label = charset.trim().toLowerCase();
  if (Object.hasOwn(upperHalves, label)) return label;
  try {
    return new TextDecoder(label).encoding;
  } catch {
    return undefined; // RangeError: an unknown label
  }
}

function decoderOf(name: string): Decode {
  const upper = upperHalves[name] ?? (Object.hasOwn(corrections, name) ? correctedUpperHalf(name) : undefined);
  return upper === undefined ? decodeBy(name) : (bytes) => decodeSingleBytes(bytes, upper);
}

function decodeBy(name: string): Decode {
  const decoder = new TextDecoder(name, { fatal: true, ignoreBOM: true });
  return (bytes) => {
    try {
      return decoder.decode(bytes);
    } catch {
      return undefined; // TypeError: bytes that are invalid in this charset
    }
  };
}

const nothing = '\ufffd';

function correctedUpperHalf(name: string): string {
  const decode = decodeBy(name);
  const characters = Array.from({ length: 128 }, (_, index) => {
    const byte = 0x80 + index;
    return (corrections[name]?.[byte] ?? decode(Buffer.of(byte)) ?? '') || nothing;
  });
  return characters.join('');
}

/** Decodes through UTF-16, in time linear in the number of bytes. */
function decodeSingleBytes(bytes: Buffer, upper: string): string | undefined {
  const units = Buffer.allocUnsafe(2 * bytes.length);
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    const unit = byte < 0x80 ? byte : upper.charCodeAt(byte - 0x80);
    if (unit === 0xfffd) return undefined;
    units.writeUInt16LE(unit, 2 * at);
  }
  return units.toString('utf16le');
}
