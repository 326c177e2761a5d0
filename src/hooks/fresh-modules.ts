import { createRequire } from 'node:module';
import type { HandlerConfig } from '../config/config.ts';

/**
 * The same handlers with their files' modules to be loaded anew, as what they import by path is (see
 * `resolve-callbacks.ts`): an ES module is imported once by its URL, so each reload gives the URLs a number of its own.
 * Packages stay as they were loaded.
 */
export function withFreshModules(handlers: readonly HandlerConfig[], reload: number): readonly HandlerConfig[] {
  forgetCommonJs();
  return handlers.map((handler) => {
    const { module } = handler;
    if (module.kind === 'builtin' || isInPackage(module.url)) return handler;
    return { ...handler, module: { kind: 'url', url: `${module.url}?reload=${reload}` } };
  });
}

/** CommonJS modules are kept by their path, whatever the URL says. */
function forgetCommonJs(): void {
  const { cache } = createRequire(import.meta.url);
  for (const path of Object.keys(cache)) if (!isInPackage(path)) delete cache[path];
}

function isInPackage(place: string): boolean {
  return place.includes('/node_modules/');
}
