import type { z } from 'zod';
import { pausedShape, poolList } from '../admin/api/pool-shapes.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { table, tell } from './layout.ts';
import { localTime } from './times.ts';

/** The commands about pools. */
export const poolCommands: readonly Command[] = [
  {
    name: 'pools list',
    synopsis: '[SERVICE]',
    does: 'shows what each pool owes, and how its backend stands',
    options: serviceOptions,
    run: list,
  },
  {
    name: 'pools pause',
    synopsis: 'NAME [SERVICE]',
    does: 'stops sending to a pool, also over restarts; what it owes is kept',
    operands: { least: 1, most: 1 },
    options: serviceOptions,
    run: (call) => setPaused(call, 'pause'),
  },
  {
    name: 'pools resume',
    synopsis: 'NAME [SERVICE]',
    does: 'goes on sending to a pool',
    operands: { least: 1, most: 1 },
    options: serviceOptions,
    run: (call) => setPaused(call, 'resume'),
  },
];

async function list({ values }: Call): Promise<number> {
  const service = await findService(values);
  const pools = await service.get('/pools', poolList);
  tell(values.json, pools, pools.length === 0 ? 'No pools.\n' : `${poolTable(pools)}\n${handlerTable(pools)}`);
  return 0;
}

async function setPaused({ values, operands: [pool = ''] }: Call, word: 'pause' | 'resume'): Promise<number> {
  const service = await findService(values);
  const now = await service.post(`/pools/${encodeURIComponent(pool)}/${word}`, pausedShape);
  const text = now.paused ? `Pool ${now.pool} is paused; what it owes is kept.\n` : `Pool ${now.pool} goes on.\n`;
  tell(values.json, now, text);
  return 0;
}

type Pools = z.output<typeof poolList>;

function poolTable(pools: Pools): string {
  const rows = pools.map(({ name, origin, workers, inFlight, waiting, dead, oldestAt, ...state }) => [
    name,
    state.paused ? 'paused' : breakerText(state.breaker),
    `${inFlight} of ${workers}`,
    String(waiting),
    String(dead),
    oldestAt === null ? '-' : localTime(oldestAt),
    origin,
  ]);
  return table(['POOL', 'STATE', 'BUSY', 'WAITING', 'DEAD', 'OLDEST', 'ORIGIN'], rows);
}

function handlerTable(pools: Pools): string {
  const rows = pools.flatMap((pool) =>
    pool.handlers.map(({ name, waiting, dead, breaker, pausedUntil }) => [
      name,
      pool.name,
      String(waiting),
      String(dead),
      pausedUntil === null ? breakerText(breaker) : `asked to wait until ${localTime(pausedUntil)}`,
    ]),
  );
  return table(['HANDLER', 'POOL', 'WAITING', 'DEAD', 'STATE'], rows);
}

function breakerText(breaker: Pools[number]['breaker']): string {
  switch (breaker) {
    case 'closed':
      return 'sending';
    case 'half-open':
      return 'probing';
    case 'open':
      return 'breaker open';
    case 'slow-start':
      return 'starting slowly';
    default:
      return breaker satisfies never;
  }
}
