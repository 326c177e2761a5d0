/**
 * Module hook, which Node runs in a separate thread. It resolves our public specifier for modules outside any `node_modules`.
 * If a module is reloaded (`?reload=N`), the files that it imports by path are reloaded with it.
 */
import type { ResolveHook } from 'node:module';
import { extname } from 'node:path';

const { pathname } = new URL(import.meta.url);
const { href } = new URL(`./callback-api${extname(pathname)}`, import.meta.url);

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (specifier === 'xmpp-event-pusher/callbacks') return { url: href, format: 'module', shortCircuit: true };

  const found = await next(specifier, context);
  const [reload] = /\?reload=\d+$/.exec(context.parentURL ?? '') ?? [];
  return reload !== undefined && isOwnFile(specifier, found.url) ? { ...found, url: found.url + reload } : found;
};

/** Whether the specifier is a path and the file belongs to no package. A file with its own query is left alone. */
function isOwnFile(specifier: string, url: string): boolean {
  return /^(?:[./]|file:)/.test(specifier) && /^file:[^?#]*$/.test(url) && !url.includes('/node_modules/');
}
