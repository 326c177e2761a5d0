/**
 * Importing this file makes `xmpp-event-pusher/callbacks` resolve in every module that is imported after it. It is the
 * one file here that works at its import: Node keeps no list of its hooks to look into, and the module cache is what
 * makes it happen once.
 */
import { register } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

// `.ts` in a checkout, `.js` once built: tsc does not rewrite what is not an import.
register(`./resolve-callbacks${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
