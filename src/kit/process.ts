/** Facts about this process. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Limit of open files of this process; undefined if the system does not report it. */
export function openFilesLimit(): number | undefined {
  try {
    const soft = /^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined; // not Linux
  }
}

/** Version of this package, from its package.json. It is resolved by name, so this works from source and from the build. */
export function packageVersion(): string {
  const { version }: { readonly version: string } = createRequire(import.meta.url)('xmpp-event-pusher/package.json');
  return version;
}
