import { parseArgs } from 'node:util';
import { ServiceError, toError } from '../kit/errors.ts';

/** Every option of the command line; which command takes which stands with the commands. */
const options = {
  all: { type: 'boolean' },
  before: { type: 'string' },
  config: { type: 'string' },
  content: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  handler: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  host: { type: 'string' },
  json: { type: 'boolean' },
  limit: { type: 'string' },
  once: { type: 'boolean' },
  pool: { type: 'string' },
  rate: { type: 'string' },
  reason: { type: 'string' },
  scripted: { type: 'boolean' },
  since: { type: 'string' },
  'to-handler': { type: 'string' },
  'to-pool': { type: 'string' },
  token: { type: 'string' },
  url: { type: 'string' },
  version: { type: 'boolean' },
  yes: { type: 'boolean' },
} as const;

export type OptionName = keyof typeof options;

/** The options as they were given. */
export type OptionValues = ReturnType<typeof readOptions>['values'];

/** Throws USAGE. */
export function readOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (thrown) {
    throw new ServiceError('USAGE', toError(thrown).message);
  }
}

/** A whole number of 1 or more; undefined where the option was not given. Throws USAGE. */
export function wholeOption(values: OptionValues, name: 'limit' | 'rate', most: number): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= most) return value;
  throw new ServiceError('USAGE', `--${name}: received ${JSON.stringify(text)}, expected a whole number from 1 to ${most}`);
}
