import { prepareDomain } from '../packet/jid.ts';
import { createProfiles, type Profiles } from '../packet/stringprep.ts';

/** Prepares a glob part by part as a JID is, so `Alice@EXAMPLE.org` matches the prepared JID of a packet. */
export type GlobReader = (glob: string) => string;

/** Builds the tables of stringprep (5 ms, 124 KiB) once for all globs, and only if one of them is not plain ASCII. */
export function createGlobReader(): GlobReader {
  let profiles: Profiles | undefined;
  return (glob) => {
    if (plainGlob.test(glob) && !/xn--/i.test(glob)) return glob.toLowerCase();
    profiles ??= createProfiles();
    return prepareGlob(glob, profiles);
  };
}

/** Characters that preparation leaves unchanged except for case. A final dot of a domain is removed. */
const plainGlob = /^[-\w.*?]+(?:@[-\w.*?]*)?(?<!\.)$/;

/** A glob without a wildcard matches only the JID that is equal to it. */
export function isLiteral(glob: string): boolean {
  return !/[*?]/.test(glob);
}

/** Compiles globs: `*` matches any characters, line breaks included, `?` one; one of the globs must match the whole text. */
export function compileGlobs(globs: readonly string[]): (text: string) => boolean {
  const literals = new Set(globs.filter(isLiteral));
  const patterns = globs.filter((glob) => !isLiteral(glob)).map(compilePattern);
  return (text) => literals.has(text) || patterns.some((matches) => matches(text));
}

/** A part that cannot be prepared stays as written: it can match a JID that could not be prepared either. */
function prepareGlob(glob: string, { nameprep, nodeprep }: Profiles): string {
  const at = glob.indexOf('@');
  const server = glob.slice(at + 1);
  const domain = prepareDomain(server, nameprep) ?? nameprep(server) ?? server; // a wildcard is not valid in a host name
  if (at === -1) return domain;

  const user = glob.slice(0, at);
  return `${nodeprep(user) ?? user}@${domain}`;
}

/**
 * The part before the first `*` must stand at the start of the text and the part after the last `*` at its end. Each part between
 * them takes the first place where it fits, since an earlier end leaves more text to the others: no character is searched twice.
 * A regular expression would try every combination of all stars.
 */
function compilePattern(glob: string): (text: string) => boolean {
  const [first = '', ...others] = glob.split(/\*+/);
  const last = others.pop();
  if (last === undefined) return (text) => endAt(first, text, 0) === text.length;

  const searches = others.map(compileSearch);
  return (text) => {
    let at = endAt(first, text, 0);
    for (const search of searches) {
      if (at === -1) return false;
      at = search(text, at);
    }
    const start = startOfLast(last, text);
    return at !== -1 && start >= at && endAt(last, text, start) === text.length;
  };
}

/** Finds where the first match of a part at or after `from` ends; -1 without one. */
type Search = (text: string, from: number) => number;

function compileSearch(part: string): Search {
  if (part.includes('?')) return compileBitSearch(part);
  return (text, from) => {
    const start = text.indexOf(part, from);
    return start === -1 ? -1 : start + part.length;
  };
}

/**
 * The Shift-And algorithm (Baeza-Yates and Gonnet): bit n of the state is set if the first n + 1 characters of the part match up to
 * the current character of the text. Each character of the text costs one step per 32 characters of the part, whatever both contain.
 */
function compileBitSearch(part: string): Search {
  const wanted = Array.from(part, (character) => character.codePointAt(0) ?? 0);
  const words = Math.ceil(wanted.length / 32);
  const masks = new Map(wanted.map((character) => [character, new Uint32Array(words)]));
  for (const [character, mask] of masks) {
    for (const [bit, each] of wanted.entries())
      if (each === character || each === question) mask[bit >> 5] = (mask[bit >> 5] ?? 0) | (1 << (bit & 31));
  }
  const wildcards = masks.get(question) ?? new Uint32Array(words);
  const lastBit = 1 << ((wanted.length - 1) & 31);

  return (text, from) => {
    const state = new Uint32Array(words);
    for (let at = from; at < text.length; ) {
      const character = text.codePointAt(at) ?? 0;
      at += character > 0xffff ? 2 : 1;
      const mask = masks.get(character) ?? wildcards;
      let carry = 1; // a match may begin at every character
      for (let word = 0; word < words; word += 1) {
        const before = state[word] ?? 0;
        state[word] = ((before << 1) | carry) & (mask[word] ?? 0);
        carry = before >>> 31;
      }
      if (((state[words - 1] ?? 0) & lastBit) !== 0) return at;
    }
    return -1;
  };
}

/** Where a part that matches at `start` ends; -1 if it does not match there. */
function endAt(part: string, text: string, start: number): number {
  let at = start;
  for (let index = 0; index < part.length; index += 1) {
    const wanted = part.charCodeAt(index);
    if (at >= text.length || (wanted !== question && wanted !== text.charCodeAt(at))) return -1;
    at += wanted === question ? widthAt(text, at) : 1;
  }
  return at;
}

/** Where the last characters of a text start, as many as the part has; -1 if the text is shorter. */
function startOfLast(part: string, text: string): number {
  let at = text.length;
  for (let index = 0; index < part.length; index += widthAt(part, index)) at -= at > 1 && widthAt(text, at - 2) === 2 ? 2 : 1;
  return at;
}

const question = 0x3f;

/** A character outside the Basic Multilingual Plane takes two code units. */
function widthAt(text: string, index: number): number {
  return (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1;
}
