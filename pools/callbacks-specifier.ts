/**
 * Importing this file makes `xmpp-event-pusher/callbacks` resolve in every module that is imported later. It does its work on
 * import, as no other file does: Node cannot list its registered hooks, and the module cache ensures that this runs once.
 */
import { register } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

// `.ts` in a checkout, `.js` in a build: tsc rewrites only the paths of imports.
register(`./resolve-callbacks${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
