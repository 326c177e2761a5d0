import { readFileSync } from 'node:fs';

/** The limit of open files of this process; undefined if the system does not report it. */
export function openFilesLimit(): number | undefined {
  try {
    const soft = /^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined; // not Linux
  }
}
