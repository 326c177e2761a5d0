import { parseArgs } from 'node:util';
import { systemClock } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { nearest } from '../kit/nearest.ts';
import { readTime } from './times.ts';

/** Every option of the command line; each command lists the options that it takes. */
const options = {
  all: { type: 'boolean' },
  backend: { type: 'string' },
  before: { type: 'string' },
  body: { type: 'string' },
  bytes: { type: 'string' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  config: { type: 'string' },
  content: { type: 'boolean' },
  detail: { type: 'string' },
  domain: { type: 'string' },
  dir: { type: 'string' },
  'dry-run': { type: 'boolean' },
  handler: { type: 'string' },
  header: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
  host: { type: 'string' },
  id: { type: 'string' },
  jid: { type: 'string' },
  json: { type: 'boolean' },
  key: { type: 'string' },
  'key-env': { type: 'string' },
  'key-file': { type: 'string' },
  limit: { type: 'string' },
  once: { type: 'boolean' },
  online: { type: 'boolean' },
  pool: { type: 'string' },
  rate: { type: 'string' },
  reason: { type: 'string' },
  request: { type: 'string' },
  scripted: { type: 'boolean' },
  sender: { type: 'string' },
  server: { type: 'string' },
  service: { type: 'string' },
  sessions: { type: 'string' },
  since: { type: 'string' },
  'stanza-id': { type: 'string' },
  state: { type: 'string' },
  status: { type: 'string' },
  'to-handler': { type: 'string' },
  'to-pool': { type: 'string' },
  token: { type: 'string' },
  tolerance: { type: 'string' },
  url: { type: 'string' },
  version: { type: 'boolean', short: 'V' },
  watch: { type: 'boolean' },
  yes: { type: 'boolean' },
} as const;

export type OptionName = keyof typeof options;

const allNames = Object.keys(options).filter((name): name is OptionName => name in options);

/** Whether a value follows the option. */
export function takesValue(name: OptionName): boolean {
  return options[name].type === 'string';
}

/** The option as it is written: `--json`. */
export function optionFlag(name: OptionName): string {
  return `--${name}`;
}

/** The given options. */
export type OptionValues = ReturnType<typeof parseStrictly>['values'];

/** The arguments without options, to identify the command if an option is wrong. */
export function wordsOf(args: readonly string[]): readonly string[] {
  return parseArgs({ args: [...args], options, allowPositionals: true, strict: false }).positionals;
}

/** The mistake in the options that is independent of the command; undefined if there is none. */
export function wrongOption(args: readonly string[]): string | undefined {
  try {
    readOptions(args, allNames);
    return undefined;
  } catch (thrown) {
    return toError(thrown).message;
  }
}

/** Throws USAGE if an option is unknown to the command, or has a missing or unexpected value. */
export function readOptions(args: readonly string[], known: readonly OptionName[]) {
  const { tokens } = parseArgs({ args: [...args], options, allowPositionals: true, strict: false, tokens: true });
  for (const token of tokens) if (token.kind === 'option') refuseWrong(token, known);
  return parseStrictly(args);
}

/** Cannot throw after {@link refuseWrong}. */
function parseStrictly(args: readonly string[]) {
  return parseArgs({ args: [...args], options, allowPositionals: true });
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function refuseWrong({ name, rawName, value, inlineValue }: OptionToken, known: readonly OptionName[]): void {
  if (!isKnown(name, known)) {
    const near = nearest(name, known);
    throw new ServiceError(
      'USAGE',
      `${isKnown(name, allNames) ? 'this command has no' : 'unknown'} option ${rawName}${near === undefined ? '' : `; did you mean --${near}?`}`,
    );
  }
  if (options[name].type === 'boolean') {
    if (inlineValue === true) throw new ServiceError('USAGE', `${rawName} takes no value`);
    return;
  }
  const isMissing = value === undefined || (inlineValue !== true && value.startsWith('-') && value !== '-');
  if (isMissing) throw new ServiceError('USAGE', `missing value after ${rawName}${value === undefined ? '' : `, before ${value}`}`);
}

function isKnown(name: string, known: readonly OptionName[]): name is OptionName {
  return known.some((option) => option === name);
}

/** A whole number from `least` to `most`; undefined if the option is not given. Throws USAGE. */
export function wholeOption(
  values: OptionValues,
  name: 'bytes' | 'limit' | 'rate' | 'status',
  { least = 1, most }: { readonly least?: number; readonly most: number },
): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value >= least && value <= most) return value;
  throw new ServiceError('USAGE', `--${name}: received ${JSON.stringify(text)}, expected a whole number from ${least} to ${most}`);
}

/** The dead letters of a command, in the form of the API. */
export interface Selection {
  readonly ids?: readonly string[];
  readonly filter?: Filter;
  readonly all?: true;
}

/** Times in RFC 3339. A key is absent if its option is not given. */
type Filter = Readonly<Partial<Record<'before' | 'detail' | 'handler' | 'host' | 'pool' | 'reason' | 'since', string>>>;

export const filterOptions = ['before', 'detail', 'handler', 'host', 'pool', 'reason', 'since'] as const satisfies readonly OptionName[];

/** Throws USAGE for an invalid time. */
export function filterIn(values: OptionValues): Filter {
  const given: [string, string][] = [];
  for (const name of filterOptions) {
    const text = values[name];
    if (text !== undefined) given.push([name, name === 'since' || name === 'before' ? readTime(name, text, systemClock.now()) : text]);
  }
  return Object.fromEntries(given);
}

/** Throws USAGE if there is no selection, or --all with ids or a filter. */
export function selectionIn({ values, operands }: { readonly values: OptionValues; readonly operands: readonly string[] }): Selection {
  const filter = filterIn(values);
  const named = operands.length > 0 || Object.keys(filter).length > 0;
  if (values.all === true && named)
    throw new ServiceError('USAGE', '--all selects every dead letter: omit either --all or the ids and the filter');
  if (values.all === true) return { all: true };
  if (!named) throw new ServiceError('USAGE', 'select dead letters by their ids, by a filter such as --handler NAME, or with --all');
  return { ...(operands.length > 0 && { ids: operands }), ...(Object.keys(filter).length > 0 && { filter }) };
}
