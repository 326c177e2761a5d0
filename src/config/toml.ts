import { readFile } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Table } from './mistakes.ts';

/** Reads a TOML file without changes. Throws CONFIG_UNREADABLE if the file is missing, not permitted or not TOML. */
export async function readToml(file: string): Promise<Table> {
  const text = await readText(file);
  const table = parseToml(file, text);
  if (!isDeeper(table, maxDepth)) return table;
  throw new ServiceError(
    'CONFIG_UNREADABLE',
    `cannot read the configuration ${file}: its tables are nested more than ${maxDepth} levels deep`,
  );
}

/** Maximum nesting of tables and lists: a key with tens of thousands of dots would exhaust the stack. */
const maxDepth = 100;

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1));
}

function parseToml(file: string, text: string): Table {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new ServiceError('CONFIG_UNREADABLE', syntaxMessage({ file, text }, error)); // no cause: it quotes the file, which may contain secrets
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new ServiceError('CONFIG_UNREADABLE', `cannot read the configuration ${file}: ${reasonOf(toError(cause))}`, { cause });
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EACCES':
      return 'permission denied';
    case 'EISDIR':
      return 'it is a directory';
    case 'ENOENT':
      return 'the file does not exist. Search order: --config FILE, then $EVENT_PUSHER_CONFIG, then event-pusher.toml in the working directory';
    default:
      return error.message;
  }
}

/** Line, column, key and remedy of a syntax error. Values of the file are left out because they may be secrets. */
function syntaxMessage({ file, text }: { readonly file: string; readonly text: string }, error: TomlError): string {
  const what = error.message.split('\n', 1).join('').replace('Invalid TOML document: ', '');
  const lines = text.split(/\r?\n/);
  const key = keyAt(lines, error.line);
  const hint = hintFor({ what, lines, line: error.line });
  return `${file} is not TOML: line ${error.line}, column ${error.column}${key}: ${what}${hint === '' ? '' : `; ${hint}`}`;
}

interface Failure {
  readonly what: string;
  readonly lines: readonly string[];
  /** Counts from 1. */
  readonly line: number;
}

const bareKey = /^\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*=/;
const header = /^\s*(\[\[?)\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*\]/;

/** The key on a line, with its table; empty if the line may be part of a longer value. */
function keyAt(lines: readonly string[], line: number): string {
  const above = lines.slice(0, line - 1);
  if (isInside(above)) return '';
  const table = above.findLast((text) => header.test(text));
  const own = header.exec(lines[line - 1] ?? '')?.[2];
  if (own !== undefined) return `, table ${own}`;
  const key = bareKey.exec(lines[line - 1] ?? '')?.[1];
  if (key === undefined) return '';
  const parent = table === undefined ? '' : `${header.exec(table)?.[2]}.`;
  return `, key ${parent}${key}`;
}

/** Whether a multi-line string is open. */
function isInside(lines: readonly string[]): boolean {
  return [/"""/g, /'''/g].some((quotes) => (lines.join('\n').match(quotes)?.length ?? 0) % 2 === 1);
}

function hintFor({ what, lines, line }: Failure): string {
  const here = lines[line - 1] ?? '';
  if (/redefine/.test(what)) return hintForTwice(lines, line);
  if (/control characters|unfinished string/.test(what)) return 'a quoted string must end on its line: is the closing quote missing?';
  if (/invalid value/.test(what)) return switchWord.test(here) ? 'write true or false' : 'a string must be quoted';
  if (/unrecognised escape/.test(what)) return 'write \\\\ for a backslash, or use single quotes';
  if (/illegal character in key/.test(what) && /^\s*\[/.test(here)) return 'is a closing bracket missing?';
  return /end-of-line/.test(what) && bareKey.test(here) ? 'is a quote missing, or is there one too many?' : '';
}

/** A boolean as YAML and Lua users write it. */
const switchWord = /=\s*(?:yes|no|on|off|true|false)\s*(?:#.*)?$/i;

/** A table written as `[x]` cannot be repeated; each member of a list must be written as `[[x]]`. */
function hintForTwice(lines: readonly string[], line: number): string {
  const name = header.exec(lines[line - 1] ?? '')?.[2];
  if (name === undefined) return 'a key may occur only once in its table';
  const same = lines.flatMap((text, index) =>
    header.exec(text)?.[2] === name ? [{ at: index + 1, opening: header.exec(text)?.[1] }] : [],
  );
  const others = same.filter(({ at }) => at !== line).map(({ at }) => at);
  if (others.length === 0) return 'a key may occur only once in its table';
  const rest = others.length > shownLines ? ` and ${others.length - shownLines} more` : '';
  const where =
    others.length === 1 ? `line ${others[0]} also defines it` : `lines ${others.slice(0, shownLines).join(', ')}${rest} also define it`;
  return lists.test(name) ? `${where}: write [[${name}]] for each of them, including the first` : `${where}: merge the two tables`;
}

/** Maximum number of listed lines. */
const shownLines = 3;

/** Tables that may be repeated. */
const lists = /(^|\.)(http|handlers|mod_event_pusher_http|host_config|descriptors)$/;
