import { systemClock } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import type { Call } from './command.ts';
import type { OptionName, OptionValues } from './options.ts';
import { readTime } from './times.ts';

/** Which dead letters a command means, as the API is told. */
export interface Selection {
  readonly ids?: readonly string[];
  readonly filter?: Filter;
  readonly all?: true;
}

/** Times in RFC 3339. Absent where an option was not given. */
export type Filter = Readonly<Partial<Record<'before' | 'handler' | 'host' | 'pool' | 'reason' | 'since', string>>>;

export const filterOptions = ['before', 'handler', 'host', 'pool', 'reason', 'since'] as const satisfies readonly OptionName[];

/** Throws USAGE for a time that is none. */
export function filterIn(values: OptionValues): Filter {
  const given: [string, string][] = [];
  for (const name of filterOptions) {
    const text = values[name];
    if (text !== undefined) given.push([name, name === 'since' || name === 'before' ? readTime(name, text, systemClock.now()) : text]);
  }
  return Object.fromEntries(given);
}

/** Throws USAGE where nothing is said, or everything and something. */
export function selectionIn({ values, operands }: Call): Selection {
  const filter = filterIn(values);
  const named = operands.length > 0 || Object.keys(filter).length > 0;
  if (values.all === true && named)
    throw new ServiceError('USAGE', '--all means every dead letter: leave it out, or the ids and the filter');
  if (values.all === true) return { all: true };
  if (!named) throw new ServiceError('USAGE', 'say which dead letters: their ids, a filter such as --handler NAME, or --all');
  return { ...(operands.length > 0 && { ids: operands }), ...(Object.keys(filter).length > 0 && { filter }) };
}
