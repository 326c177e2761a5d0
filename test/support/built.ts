/**
 * Imports a module of the build. A worker thread needs a file that Node can run by itself, and on Node 20 tsx does not
 * reach into the threads of a test; the path is no constant, so that types do not depend on a build being there.
 */
export function importBuilt<M>(path: string): Promise<M> {
  return import(new URL(`../../dist/${path}`, import.meta.url).href);
}
