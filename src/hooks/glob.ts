/** Compiles globs on bare JIDs: `*` stands for any characters, `?` for one; the whole must match, one of them suffices. */
export function compileGlobs(globs: readonly string[]): (bareJid: string) => boolean {
  const patterns = globs.map((glob) => new RegExp(`^${Array.from(prepareGlob(glob), toPattern).join('')}$`, 'su'));
  return (bareJid) => patterns.some((pattern) => pattern.test(bareJid));
}

function toPattern(character: string): string {
  if (character === '*') return '.*';
  return character === '?' ? '.' : character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
}

function prepareGlob(glob: string): string {
  return glob.normalize('NFKC').toLowerCase();
}
