import { type ErrorCode, ServiceError } from '../../kit/errors.ts';
import { nearest } from '../../kit/nearest.ts';
import type { Spool } from '../../spool/spool.ts';
import type { Operations, PoolView } from '../operations.ts';

type Named = 'handler' | 'host' | 'pool';

const codes: Readonly<Record<Named, ErrorCode>> = { handler: 'UNKNOWN_HANDLER', host: 'UNKNOWN_HOST', pool: 'UNKNOWN_POOL' };

/** The refusal of a name that is not among the `known`, which it lists. */
export function unknownName(what: Named, name: string, known: readonly string[], and = ''): ServiceError {
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
  const names = known.length === 0 ? 'none' : known.join(', ');
  return new ServiceError(codes[what], `there is no ${what} ${JSON.stringify(name)}${and}; there are: ${names}${hint}`);
}

/**
 * Throws for a name in a filter of dead letters that is neither configured nor the name in any dead letter: letters of
 * handlers, pools and hosts that were removed stay reachable.
 */
export async function refuseUnknownNames(
  filter: Readonly<Partial<Record<Named, string | undefined>>>,
  { operations, spool }: { readonly operations: Operations; readonly spool: Pick<Spool, 'countDead'> },
): Promise<void> {
  const pools = operations.pools();
  const configured = { handler: handlersOf(pools), host: operations.hosts(), pool: poolsOf(pools) };
  for (const what of ['pool', 'handler', 'host'] as const) {
    const name = filter[what];
    if (name === undefined || configured[what].includes(name)) continue;
    if ((await spool.countDead({ [what]: name })) === 0) throw unknownName(what, name, configured[what], ' and no dead letter of one');
  }
}

/** The names of all queues, each once; `HANDLER:ask` holds the questions of a handler. */
export function handlersOf(pools: readonly PoolView[]): readonly string[] {
  return [...new Set(pools.flatMap(({ handlers }) => handlers.map(({ name }) => name)))];
}

export function poolsOf(pools: readonly PoolView[]): readonly string[] {
  return pools.map(({ name }) => name);
}
