import { resolve } from 'node:path';
import { nearest } from '../kit/nearest.ts';
import { Secret } from '../kit/secret.ts';
import type { Environment } from './environment.ts';
import { isTable, type Mistake, type Path, showPath } from './mistakes.ts';
import type { NamedFiles } from './named-files.ts';
import { isPublicPath, isSecretPath } from './secrets.ts';

/** Sources of references. Relative file names start at `folder`. */
interface Sources {
  readonly env: Environment;
  readonly folder: string;
  readonly files: Pick<NamedFiles, 'read'>;
}

interface Interpolated {
  readonly value: unknown;
  readonly mistakes: readonly Mistake[];
  readonly redacted: readonly Secret[];
}

/** `$${` is an escaped `${`. */
const reference = /\$\$\{|\$\{([^}]*)\}/g;

/**
 * Replaces `${NAME}` (environment) and `${file:/path}` (a file's content without one trailing line break) in every
 * string below `value`. An unresolved reference is kept and reported as a mistake. `redacted` lists the values of references
 * and of secret keys, except addresses and names (`isPublicPath`).
 */
export async function interpolate(value: unknown, sources: Sources): Promise<Interpolated> {
  const mistakes: Mistake[] = [];
  const redacted: Secret[] = [];

  async function walk(here: unknown, path: Path): Promise<unknown> {
    if (typeof here === 'string') return replaced(here, path);
    if (Array.isArray(here)) {
      const items: unknown[] = [];
      for (const [index, item] of here.entries()) items.push(await walk(item, [...path, index]));
      return items;
    }
    if (!isTable(here)) return here;
    const entries: [string, unknown][] = [];
    for (const [key, item] of Object.entries(here)) entries.push([key, await walk(item, [...path, key])]);
    return Object.fromEntries(entries);
  }

  async function replaced(text: string, path: Path): Promise<string> {
    const before = mistakes.length;
    const result = await replaceIn(text, path);
    if (isSecretPath(path) && mistakes.length === before) redacted.push(new Secret(result));
    return result;
  }

  async function replaceIn(text: string, path: Path): Promise<string> {
    let result = '';
    let end = 0;
    for (const match of text.matchAll(reference)) {
      result += text.slice(end, match.index) + (await replacement(match, path));
      end = match.index + match[0].length;
    }
    return result + text.slice(end);
  }

  async function replacement([written, name]: RegExpExecArray, path: Path): Promise<string> {
    if (name === undefined) return '${';
    const found = name.startsWith('file:') ? await fromFile(name.slice(5), sources) : fromEnvironment(name, sources);
    if (found.kind === 'missing') {
      const hint = found.hint === undefined ? {} : { hint: found.hint };
      mistakes.push({ path: showPath(path), received: `"${written}"`, expected: found.expected, ...hint });
      return written;
    }
    if (!isPublicPath(path)) redacted.push(new Secret(found.text));
    return found.text;
  }

  return { value: await walk(value, []), mistakes, redacted };
}

type Found =
  | { readonly kind: 'found'; readonly text: string }
  | { readonly kind: 'missing'; readonly expected: string; readonly hint?: string };

function fromEnvironment(name: string, { env }: Sources): Found {
  const text = env[name];
  if (text !== undefined) return { kind: 'found', text };
  if (!/^[A-Za-z_]\w*$/.test(name)) {
    return { kind: 'missing', expected: 'the name of an environment variable, or file:/path', hint: `write $$\{ for a literal $\{` };
  }
  const near = nearest(name, Object.keys(env));
  const expected = `the environment variable ${name} to be set`;
  return near === undefined ? { kind: 'missing', expected } : { kind: 'missing', expected, hint: `did you mean ${near}?` };
}

async function fromFile(name: string, { folder, files }: Sources): Promise<Found> {
  const file = resolve(folder, name);
  try {
    const text = await files.read(file);
    return { kind: 'found', text: text.replace(/\r?\n$/, '') };
  } catch (error) {
    return { kind: 'missing', expected: `a readable file: ${file} (${reasonOf(error)})` };
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
