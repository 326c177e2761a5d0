import { z } from 'zod';
import { nearest } from '../kit/nearest.ts';
import { describe, type Mistake } from './mistakes.ts';
import { isSecretPlace } from './public-place.ts';
import { asTable, lookUp, type Path, showPath, type Table } from './table.ts';

/** A mistake as the steps report it: what was received is looked up in the file unless said otherwise. */
export interface Complaint {
  readonly expected: string;
  readonly received?: string;
  readonly hint?: string | undefined;
}

/** What the reading of one file gathers on its way from step to step. */
export interface Reading {
  /** The file's folder: relative paths start here. */
  readonly folder: string;
  readonly mistakes: readonly Mistake[];
  readonly notices: readonly string[];
  /** Reports a mistake; said of a value whose reference could not be replaced, it is dropped: that was told before. */
  mistake(path: Path, complaint: Complaint): void;
  notice(text: string): void;
  /** Checks a value; undefined when it has mistakes, which are then reported. */
  read<T>(schema: z.ZodType<T>, value: unknown, path: Path): T | undefined;
}

/** `written` is the file before references were replaced: mistakes quote this and so never what a reference stood for. */
export function createReading(start: { readonly folder: string; readonly written: Table; readonly mistakes: readonly Mistake[] }): Reading {
  const { folder, written } = start;
  const mistakes = [...start.mistakes];
  const unresolved = new Set(mistakes.map(({ path }) => path));
  const notices: string[] = [];

  function mistake(path: Path, { expected, received, hint }: Complaint): void {
    const place = placeOf(written, path);
    const shown = showPath(place);
    if (unresolved.has(shown)) return;
    const key = isSecretPlace(place) ? 'secret' : String(place.findLast((step) => typeof step === 'string') ?? '');
    const quoted = received ?? describe(lookUp(written, place), key);
    mistakes.push({ path: shown, received: quoted, expected, ...(hint === undefined ? {} : { hint }) });
  }

  function read<T>(schema: z.ZodType<T>, value: unknown, path: Path): T | undefined {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) report(issue, schema, path);
    return undefined;
  }

  function report(issue: z.core.$ZodIssue, schema: z.ZodType, base: Path): void {
    const path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
    if (issue.code === 'unrecognized_keys') {
      const known = keysAt(schema, issue.path);
      for (const key of issue.keys) mistake([...path, key], { received: 'an unknown key', ...unknownAmong(key, known) });
      return;
    }
    const choices = issue.code === 'invalid_value' ? issue.values.map(String) : [];
    const value = lookUp(written, placeOf(written, path));
    mistake(path, { expected: issue.message, hint: typeof value === 'string' ? guess(value, choices) : undefined });
  }

  return { folder, mistakes, notices, mistake, notice: (text) => notices.push(text), read };
}

/** What is expected instead of a name that is not `known`, with the nearest that is. */
export function unknownAmong(name: string, known: readonly string[]): { readonly expected: string; readonly hint: string | undefined } {
  return { expected: known.length === 0 ? 'nothing here' : `one of ${known.join(', ')}`, hint: guess(name, known) };
}

function guess(name: string, known: readonly string[]): string | undefined {
  const near = nearest(name, known);
  return near === undefined ? undefined : `did you mean "${near}"?`;
}

/** The path as far as the file has it: a single value may stand for a list of one, or for a table that it abbreviates. */
function placeOf(written: Table, path: Path): Path {
  const parent = path.slice(0, -1);
  return ['boolean', 'number', 'string'].includes(typeof lookUp(written, parent)) ? parent : path;
}

/** The keys that a schema knows at a path inside it. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let here = bare(schema);
  for (const step of path) here = bare(inside(here, String(step)));
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

function inside(schema: unknown, step: string): unknown {
  if (schema instanceof z.ZodArray) return schema.element;
  return schema instanceof z.ZodObject ? asTable(schema.shape)[step] : undefined;
}

function bare(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return bare(schema.unwrap());
  if (schema instanceof z.ZodPipe && schema.in instanceof z.ZodTransform) return bare(schema.out);
  return schema;
}
