import { createRequire } from 'node:module';

/** The package's version, as its own package.json says; found by the package's name, so from the build as from the source. */
export function packageVersion(): string {
  const { version }: { readonly version: string } = createRequire(import.meta.url)('xmpp-event-pusher/package.json');
  return version;
}
