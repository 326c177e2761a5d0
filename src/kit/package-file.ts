/** Facts of package.json. It is resolved by the name of the package, so this works from source and from the build. */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

const file = 'xmpp-event-pusher/package.json';

/** The versions of Node.js that can run this package, such as `>=20.18`. */
export function requiredNode(): string {
  const { engines }: { readonly engines: { readonly node: string } } = createRequire(import.meta.url)(file);
  return engines.node;
}

/** The folder of this package, with its documentation and plugins. */
export function packageFolder(): string {
  return dirname(createRequire(import.meta.url).resolve(file));
}
