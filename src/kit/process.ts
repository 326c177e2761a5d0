import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** The limit of open files of this process; undefined if the system does not report it. */
export function openFilesLimit(): number | undefined {
  try {
    const soft = /^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined; // not Linux
  }
}

/** The package's version, as its own package.json says; found by the package's name, so from the build as from the source. */
export function packageVersion(): string {
  const { version }: { readonly version: string } = createRequire(import.meta.url)('xmpp-event-pusher/package.json');
  return version;
}
