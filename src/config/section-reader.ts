import { z } from 'zod';
import { nearest } from '../kit/nearest.ts';
import { asTable, describe, lookUp, type Mistake, type Path, showPath, type Table } from './mistakes.ts';
import { NamedFiles } from './named-files.ts';
import { isSecretPath } from './secrets.ts';

/** A mistake as a section reports it; `received` defaults to the value in the file. */
interface Complaint {
  readonly expected: string;
  readonly received?: string;
  readonly hint?: string | undefined;
}

interface SectionReaderOptions extends Pick<SectionReader, 'folder' | 'mistakes'> {
  readonly files?: NamedFiles;
  readonly written: Table;
}

/** Checks the sections of one file against their schemas and gathers all mistakes and notices. */
export class SectionReader {
  /** The file's folder: relative paths start here. */
  readonly folder: string;
  /** Reads the files that the section names. */
  readonly files: Pick<NamedFiles, 'read'>;
  readonly mistakes: Mistake[];
  readonly notices: string[] = [];
  readonly #written: Table;
  readonly #unresolved: ReadonlySet<string>;

  /**
   * `written` is the file before references were replaced: mistakes quote it, so they never contain the value of a
   * reference. `mistakes` are the unresolved references.
   */
  constructor({ folder, files = new NamedFiles(), written, mistakes }: SectionReaderOptions) {
    this.folder = folder;
    this.files = files;
    this.mistakes = [...mistakes];
    this.#written = written;
    this.#unresolved = new Set(mistakes.map(({ path }) => path));
  }

  /** Checks a value; undefined if it has mistakes, which are then reported. */
  read<T>(schema: z.ZodType<T>, value: unknown, path: Path): T | undefined {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) this.#report(issue, schema, path);
    return undefined;
  }

  /** Reports a mistake, unless the value is an unresolved reference, which has been reported already. */
  mistake(path: Path, { expected, received, hint }: Complaint): void {
    const position = positionOf(this.#written, path);
    const shown = showPath(position);
    if (this.#unresolved.has(shown)) return;
    const key = isSecretPath(position) ? 'secret' : String(position.findLast((step) => typeof step === 'string') ?? '');
    const quoted = received ?? describe(lookUp(this.#written, position), key);
    this.mistakes.push({ path: shown, received: quoted, expected, ...(hint === undefined ? {} : { hint }) });
  }

  notice(path: Path, text: string): void {
    this.notices.push(`${showPath(path)}: ${text}`);
  }

  #report(issue: z.core.$ZodIssue, schema: z.ZodType, base: Path): void {
    const path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
    if (issue.code === 'unrecognized_keys') {
      const known = keysAt(schema, issue.path);
      for (const key of issue.keys) this.mistake([...path, key], { received: 'an unknown key', ...unknownAmong(key, known) });
      return;
    }
    const choices = issue.code === 'invalid_value' ? issue.values.map(String) : [];
    const value = lookUp(this.#written, positionOf(this.#written, path));
    this.mistake(path, { expected: issue.message, hint: typeof value === 'string' ? guess(value, choices) : undefined });
  }
}

/** The complaint about a name that is not `known`, with the nearest known name as the hint. */
export function unknownAmong(name: string, known: readonly string[]): { readonly expected: string; readonly hint: string | undefined } {
  return { expected: known.length === 0 ? 'nothing here' : `one of ${known.join(', ')}`, hint: guess(name, known) };
}

function guess(name: string, known: readonly string[]): string | undefined {
  const near = nearest(name, known);
  return near === undefined ? undefined : `did you mean "${near}"?`;
}

/** The part of the path that the file contains: a single value may stand for a list of one, or abbreviate a table. */
function positionOf(written: Table, path: Path): Path {
  const parent = path.slice(0, -1);
  return ['boolean', 'number', 'string'].includes(typeof lookUp(written, parent)) ? parent : path;
}

/** The known keys at a path inside a schema. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let here = unwrapped(schema);
  for (const step of path) here = unwrapped(inside(here, String(step)));
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

function inside(schema: unknown, step: string): unknown {
  if (schema instanceof z.ZodArray) return schema.element;
  return schema instanceof z.ZodObject ? asTable(schema.shape)[step] : undefined;
}

function unwrapped(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrapped(schema.unwrap());
  if (schema instanceof z.ZodPipe && schema.in instanceof z.ZodTransform) return unwrapped(schema.out);
  return schema;
}
