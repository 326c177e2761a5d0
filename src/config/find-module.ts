import { readFile, stat } from 'node:fs/promises';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { HandlerConfig } from './config.ts';
import { isTable, type Table } from './mistakes.ts';

export const builtinModules: readonly string[] = [
  'mod_event_pusher_http_cloudevents',
  'mod_event_pusher_http_defaults',
  'mod_event_pusher_http_json',
];

type FoundModule =
  | { readonly kind: 'found'; readonly module: HandlerConfig['module'] }
  /** `lookedAt`: absolute paths in search order; `typeScript`: a TypeScript file of that name, which Node does not load. */
  | { readonly kind: 'missing'; readonly lookedAt: readonly string[]; readonly typeScript: string | undefined };

/**
 * Finds a callback module by name, in this order: a built-in; `NAME.mjs` or `NAME.js` in `folder`, then in `folder/callbacks`;
 * a path relative to `folder`; a package installed for `folder`. Imports nothing.
 */
export async function findModule(name: string, folder: string): Promise<FoundModule> {
  if (builtinModules.includes(name)) return { kind: 'found', module: { kind: 'builtin', name } };

  const lookedAt: string[] = [];
  for (const file of filesFor(name, folder)) {
    if (await isFile(file)) return found(file);
    lookedAt.push(file);
  }
  if (/^[./]/.test(name) || isBuiltin(name)) return missing(name, folder, lookedAt);

  for (const packageFolder of packageFolders(splitSpecifier(name).packageName, folder)) {
    const entry = await packageEntry(name, packageFolder);
    if (entry !== undefined) return found(entry);
    lookedAt.push(packageFolder);
  }
  return missing(name, folder, lookedAt);
}

/** The places that were searched for a missing module, for a message. */
export function searchedPlaces({ lookedAt, typeScript }: Extract<FoundModule, { kind: 'missing' }>): string {
  const hint = typeScript === undefined ? '' : `. ${typeScript} is TypeScript: compile it to .mjs or .js`;
  return `Searched: ${lookedAt.join(', ')}${hint}`;
}

async function missing(name: string, folder: string, lookedAt: readonly string[]): Promise<FoundModule> {
  const base = name.replace(/\.[cm]?[jt]s$/, '');
  const files = [folder, join(folder, 'callbacks')].flatMap((parent) => ['.mts', '.ts'].map((ending) => resolve(parent, base + ending)));
  const [typeScript] = (await Promise.all(files.map(async (file) => ((await isFile(file)) ? [file] : [])))).flat();
  return { kind: 'missing', lookedAt, typeScript };
}

function found(file: string): FoundModule {
  return { kind: 'found', module: { kind: 'url', url: pathToFileURL(file).href } };
}

/** A name with the extension of a module is a path. */
function filesFor(name: string, folder: string): readonly string[] {
  if (['.cjs', '.js', '.mjs'].includes(extname(name))) return [resolve(folder, name)];
  return [folder, join(folder, 'callbacks')].flatMap((parent) => [resolve(parent, `${name}.mjs`), resolve(parent, `${name}.js`)]);
}

async function isFile(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined); // an unreadable path counts as missing
  return found?.isFile() ?? false;
}

/** Package and subpath: `@acme/push/chat` is `./chat` of `@acme/push`. */
function splitSpecifier(name: string): { readonly packageName: string; readonly subpath: string } {
  const [packageName = name] = /^(?:@[^/]+\/)?[^/]+/.exec(name) ?? [];
  return { packageName, subpath: `.${name.slice(packageName.length)}` };
}

/** Node's search path for a package: `node_modules` in the folder and in every folder above it. */
function packageFolders(packageName: string, folder: string): readonly string[] {
  const above = dirname(folder);
  const here = join(folder, 'node_modules', packageName);
  return above === folder ? [here] : [here, ...packageFolders(packageName, above)];
}

/** The file that `import` of the package loads: from `exports`, else the file that `require` loads. */
async function packageEntry(name: string, packageFolder: string): Promise<string | undefined> {
  const manifest = await readManifest(join(packageFolder, 'package.json'));
  if (manifest === undefined) return undefined;

  const exported = importTarget(manifest['exports'], splitSpecifier(name).subpath);
  if (exported !== undefined) return (await isFile(join(packageFolder, exported))) ? join(packageFolder, exported) : undefined;
  try {
    return createRequire(join(packageFolder, '..', 'package.json')).resolve(name);
  } catch {
    return undefined; // the package has no such file: reported as one more searched place
  }
}

async function readManifest(file: string): Promise<Table | undefined> {
  try {
    const manifest: unknown = JSON.parse(await readFile(file, 'utf8'));
    return isTable(manifest) ? manifest : undefined;
  } catch {
    return undefined; // no package, or an invalid one
  }
}

/** The target of a subpath in `exports` under the conditions `node`, `import` and `default`. */
function importTarget(exported: unknown, subpath: string): string | undefined {
  if (typeof exported === 'string') return subpath === '.' ? exported : undefined;
  if (!isTable(exported)) return undefined;
  if (Object.keys(exported).some((key) => key.startsWith('.'))) return underConditions(exported[subpath]);
  return subpath === '.' ? underConditions(exported) : undefined;
}

function underConditions(target: unknown): string | undefined {
  if (typeof target === 'string') return target;
  if (!isTable(target)) return undefined;
  const condition = Object.keys(target).find((key) => ['default', 'import', 'node'].includes(key));
  return condition === undefined ? undefined : underConditions(target[condition]);
}
