/**
 * Imports a module of the build, for tests of worker threads and module hooks: Node must be able to run their files by itself. The
 * path is not a constant, so that the types do not depend on an existing build.
 */
export function importBuilt<M>(path: string): Promise<M> {
  return import(new URL(`../../dist/${path}`, import.meta.url).href);
}
