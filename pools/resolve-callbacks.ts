/**
 * Node's module hook, run in a thread of its own: a module outside any `node_modules` finds our one public specifier too,
 * and a module that is loaded anew (`?reload=N`) has the files that it imports by path loaded anew with it.
 */
import type { ResolveHook } from 'node:module';
import { extname } from 'node:path';

const { pathname } = new URL(import.meta.url);
const { href } = new URL(`./callbacks${extname(pathname)}`, import.meta.url);

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (specifier === 'xmpp-event-pusher/callbacks') return { url: href, format: 'module', shortCircuit: true };

  const found = await next(specifier, context);
  const [reload] = /\?reload=\d+$/.exec(context.parentURL ?? '') ?? [];
  return reload !== undefined && isOwnFile(specifier, found.url) ? { ...found, url: found.url + reload } : found;
};

/** Whether a file was asked for by path that belongs to no package; one with a query of its own is left alone. */
function isOwnFile(specifier: string, url: string): boolean {
  return /^(?:[./]|file:)/.test(specifier) && /^file:[^?#]*$/.test(url) && !url.includes('/node_modules/');
}
