import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The entry file of a thread: a .ts file in a checkout, a .js file in the build. `name` is relative to the module `from`, without the ending. */
export function threadEntry(name: string, from: string): URL {
  return new URL(`${name}${extname(fileURLToPath(from))}`, from);
}
