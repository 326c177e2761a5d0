import { ServiceError } from '../kit/errors.ts';

/** One thing wrong in a configuration file, in words for the person who wrote it. */
export interface Mistake {
  /** `outgoing_pools.http.http_pool.workers` */
  readonly path: string;
  /** What stands there, as written (never a secret). */
  readonly received: string;
  /** What should stand there. */
  readonly expected: string;
  /** The nearest known name, or what to do. */
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

/** A mistake on one line: path, what was received, what was expected, and the hint. */
export function mistakeLine({ path, received, expected, hint }: Mistake): string {
  return `${path}: received ${received}, expected ${expected}${hint === undefined ? '' : ` (${hint})`}`;
}

/** Keys whose values are told by their type only. */
const secretKey = /secret|token|password|passphrase|credential|authorization|cookie|(^|[_-])(api|private|access)[_-]?key/i;

/** Whether a key's name says that its value is nobody's business. */
export function isSecretKey(key: string): boolean {
  return secretKey.test(key);
}

/** A received value in words: short, and without what must not be shown. */
export function describe(value: unknown, key: string): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'object') return 'a table';
  if (isSecretKey(key)) return value === '' ? 'an empty string' : `a ${typeof value}`;
  return typeof value === 'string' ? quote(value) : String(value);
}

/** A string in quotes, cut when long, with user and password of a URL left out. */
function quote(text: string): string {
  const withoutCredentials = text.replace(/\/\/[^/@\s]*@/g, '//[redacted]@');
  return JSON.stringify(withoutCredentials.length > 80 ? `${withoutCredentials.slice(0, 79)}…` : withoutCredentials);
}
