import { ServiceError } from '../kit/errors.ts';
import { isSecretKey } from './secrets.ts';

/** One mistake in a configuration file, described for its author. */
export interface Mistake {
  /** `outgoing_pools.http.http_pool.workers` */
  readonly path: string;
  /** The value in the file as written, never a secret. */
  readonly received: string;
  /** The value that is valid there. */
  readonly expected: string;
  /** The nearest known name, or a remedy. */
  readonly hint?: string;
}

/** All mistakes of one file together: CONFIG_INVALID. */
export class ConfigInvalid extends ServiceError {
  readonly mistakes: readonly Mistake[];

  constructor(file: string, mistakes: readonly Mistake[]) {
    const count = mistakes.length === 1 ? '1 mistake' : `${mistakes.length} mistakes`;
    super('CONFIG_INVALID', [`${file} has ${count}:`, ...mistakes.map((mistake) => `  ${mistakeLine(mistake)}`)].join('\n'));
    this.mistakes = mistakes;
  }
}

/** A mistake on one line: path, received value, expected value, hint. */
export function mistakeLine({ path, received, expected, hint }: Mistake): string {
  return `${path}: received ${received}, expected ${expected}${hint === undefined ? '' : ` (${hint})`}`;
}

/** A short description of a received value, without secrets. */
export function describe(value: unknown, key: string): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'object') return 'a table';
  if (isSecretKey(key)) return value === '' ? 'an empty string' : `a ${typeof value}`;
  return typeof value === 'string' ? quote(value) : String(value);
}

/** A string in quotes, shortened if long, without the user and password of a URL. */
function quote(text: string): string {
  const withoutCredentials = text.replace(/\/\/[^/@\s]*@/g, '//[redacted]@');
  return JSON.stringify(withoutCredentials.length > 80 ? `${withoutCredentials.slice(0, 79)}…` : withoutCredentials);
}

/** A TOML table that is not validated yet. */
export type Table = Readonly<Record<string, unknown>>;

/** The position of a value: keys, and indexes inside lists. */
export type Path = readonly (number | string)[];

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** The value as a table, or an empty one: for reading into sections whose shape is checked elsewhere. */
export function asTable(value: unknown): Table {
  return isTable(value) ? value : {};
}

/** The value at a path; undefined if the path does not exist. */
export function lookUp(value: unknown, path: Path): unknown {
  let here = value;
  for (const step of path) {
    if (Array.isArray(here) && typeof step === 'number') here = here[step];
    else if (isTable(here) && Object.hasOwn(here, step)) here = here[String(step)];
    else return undefined;
  }
  return here;
}

/** The path in TOML notation: `modules.mod_event_pusher.backend.http[1].path`. */
export function showPath(path: Path): string {
  return path.reduce<string>((shown, step) => {
    if (typeof step === 'number') return `${shown}[${step}]`;
    const key = /^[\w-]+$/.test(step) ? step : JSON.stringify(step);
    return shown === '' ? key : `${shown}.${key}`;
  }, '');
}
