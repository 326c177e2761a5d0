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

/** Compiles prepared globs for bare JIDs: `*` matches any characters, `?` one; one of the globs must match the whole JID. */
export function compileGlobs(globs: readonly string[]): (bareJid: string) => boolean {
  const literals = new Set(globs.filter(isLiteral));
  const patterns = globs.filter((glob) => !isLiteral(glob));
  return (bareJid) => literals.has(bareJid) || patterns.some((glob) => matches(glob, bareJid));
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
 * A mismatch extends the last `*` by one character and never an earlier one, so the number of steps is at most the product of
 * both lengths. A regular expression would try every combination of all stars.
 */
function matches(glob: string, text: string): boolean {
  let [at, inText] = [0, 0];
  let lastStar = -1;
  let afterStar = 0;
  while (inText < text.length) {
    const wanted = glob.charCodeAt(at); // NaN after the end
    if (wanted === star) {
      lastStar = at;
      at += 1;
      afterStar = inText;
    } else if (wanted === question || wanted === text.charCodeAt(inText)) {
      inText += wanted === question ? widthAt(text, inText) : 1;
      at += 1;
    } else if (lastStar === -1) {
      return false;
    } else {
      at = lastStar + 1;
      afterStar += widthAt(text, afterStar);
      inText = afterStar;
    }
  }
  while (glob.charCodeAt(at) === star) at += 1;
  return at === glob.length;
}

const star = 0x2a;
const question = 0x3f;

/** A character outside the Basic Multilingual Plane takes two code units. */
function widthAt(text: string, index: number): number {
  return (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1;
}
