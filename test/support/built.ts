/**
 * Imports a module of the build. A worker thread needs a file that Node can run by itself, and on Node 20 tsx does not reach
 * into the threads of a test. The path is not a constant, so that the types do not depend on an existing build.
 */
export function importBuilt<M>(path: string): Promise<M> {
  return import(new URL(`../../dist/${path}`, import.meta.url).href);
}
