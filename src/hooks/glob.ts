import { prepareDomain } from '../packet/jid.ts';
import { createProfiles, type Profiles } from '../packet/stringprep.ts';

/**
 * Compiles globs on bare JIDs: `*` stands for any characters, `?` for one; the whole must match, one of them suffices.
 * A glob is prepared as a JID is, part by part, so that `Alice@EXAMPLE.org` finds what the packet's JID became.
 */
export function compileGlobs(globs: readonly string[]): (bareJid: string) => boolean {
  const profiles = createProfiles();
  const prepared = globs.map((glob) => prepareGlob(glob, profiles));
  return (bareJid) => prepared.some((glob) => matches(glob, bareJid));
}

/** What cannot be prepared can still find JIDs that could not be either, and were passed on as they came. */
function prepareGlob(glob: string, { nameprep, nodeprep }: Profiles): string {
  const at = glob.indexOf('@');
  const server = glob.slice(at + 1);
  const domain = prepareDomain(server, nameprep) ?? nameprep(server) ?? server; // no host name has a wildcard in it
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
