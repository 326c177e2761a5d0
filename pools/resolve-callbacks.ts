/** Node's module hook, run in a thread of its own: a module outside any `node_modules` finds our one public specifier too. */
import type { ResolveHook } from 'node:module';
import { extname } from 'node:path';

const { pathname } = new URL(import.meta.url);
const { href } = new URL(`./callbacks${extname(pathname)}`, import.meta.url);

export const resolve: ResolveHook = (specifier, context, next) =>
  specifier === 'xmpp-event-pusher/callbacks' ? { url: href, format: 'module', shortCircuit: true } : next(specifier, context);
