import { prepareDomain } from '../packet/domain.ts';
import { createProfiles, type Profiles } from '../packet/stringprep.ts';

/**
 * Compiles globs on bare JIDs: `*` stands for any characters, `?` for one; the whole must match, one of them suffices.
 * A glob is prepared as a JID is, part by part, so that `Alice@EXAMPLE.org` finds what the packet's JID became.
 */
export function compileGlobs(globs: readonly string[]): (bareJid: string) => boolean {
  const profiles = createProfiles();
  const patterns = globs.map((glob) => new RegExp(`^${Array.from(prepareGlob(glob, profiles), toPattern).join('')}$`, 'su'));
  return (bareJid) => patterns.some((pattern) => pattern.test(bareJid));
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

function toPattern(character: string): string {
  if (character === '*') return '.*';
  return character === '?' ? '.' : character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
}
