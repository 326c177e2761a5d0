import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { pausedShape, poolList } from '../admin/api/pools.ts';
import { systemClock } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import type { OptionValues } from './options.ts';
import { jsonText, none, output, table } from './terminal.ts';
import { ageText, localTime, spanText } from './times.ts';

/** The commands about pools. */
export const poolCommands: readonly Command[] = [
  {
    name: 'pools list',
    synopsis: '[--watch] [SERVICE]',
    description: 'lists the pools with their backlogs and the state of their backends; --watch repeats it',
    options: [...serviceOptions, 'watch'],
    run: (call) => (call.values.watch === true ? watch(call) : list(call.values)),
  },
  {
    name: 'pools pause',
    synopsis: 'POOL[/HANDLER] [SERVICE]',
    description: 'stops sending to a pool or for one of its handlers, also across restarts; deliveries are kept',
    operands: { least: 1, most: 1 },
    options: serviceOptions,
    run: (call) => setPaused(call, 'pause'),
  },
  {
    name: 'pools resume',
    synopsis: 'POOL[/HANDLER] [SERVICE]',
    description: 'resumes sending to a pool, or for one handler of it',
    operands: { least: 1, most: 1 },
    options: serviceOptions,
    run: (call) => setPaused(call, 'resume'),
  },
];

async function list(values: OptionValues): Promise<number> {
  const service = await findService(values);
  const pools = await service.get('/pools', poolList);
  output(values.json, pools, textOf(pools));
  return 0;
}

/** Pause between two readings, ms. */
const watchEveryMs = 2000;

/**
 * Repeats the list until the process or the reader of the output ends; a service that does not answer is asked again. With --json, one line for
 * each reading.
 */
async function watch({ values, unread }: Call): Promise<number> {
  const service = await findService(values);
  while (!unread.aborted) {
    const read = await service.get('/pools', poolList).catch(toError);
    if (read instanceof Error && !(read instanceof ServiceError && read.code === 'ADMIN_UNREACHABLE')) throw read;
    if (values.json === true) process.stdout.write(`${jsonText(read instanceof Error ? { error: read.message } : read)}\n`);
    else process.stdout.write(`${clearScreen()}${read instanceof Error ? `${read.message}\n` : textOf(read)}`);
    await sleep(watchEveryMs, undefined, { signal: unread }).catch(() => undefined); // the reader has ended
  }
  return 0;
}

/** Empty if the output is not a terminal. */
function clearScreen(): string {
  return process.stdout.isTTY === true ? '\x1b[H\x1b[2J' : '\n';
}

function textOf(pools: Pools): string {
  return pools.length === 0 ? 'No pools.\n' : `${poolTable(pools)}\n${handlerTable(pools)}${diskSpaceLine(pools)}`;
}

async function setPaused({ values, operands: [name = ''] }: Call, action: 'pause' | 'resume'): Promise<number> {
  const path = pathOf(name);
  const service = await findService(values);
  const now = await service.post(`${path}/${action}`, pausedShape);
  const subject = now.handler === undefined ? `Pool ${now.pool}` : `Handler ${now.handler} on pool ${now.pool}`;
  output(values.json, now, now.paused ? `${subject} is paused; its deliveries are kept.\n` : `${subject} is sending again.\n`);
  return 0;
}

/** `POOL`, or `POOL/HANDLER`: the name of a pool contains no slash. */
function pathOf(name: string): string {
  const [pool = '', ...rest] = name.split('/');
  if (rest.length === 0) return `/pools/${encodeURIComponent(pool)}`;
  const handler = rest.join('/');
  if (pool === '' || handler === '') throw new ServiceError('USAGE', `expected POOL or POOL/HANDLER, received ${JSON.stringify(name)}`);
  return `/pools/${encodeURIComponent(pool)}/handlers/${encodeURIComponent(handler)}`;
}

type Pools = z.output<typeof poolList>;

function poolTable(pools: Pools): string {
  const rows = pools.map(({ name, origin, workers, inFlight, waiting, dead, oldestAt, ...state }) => [
    name,
    poolState(state),
    `${inFlight} of ${workers}`,
    String(waiting),
    String(dead),
    oldestAt === null ? none : localTime(oldestAt),
    rateText(state),
    origin === '' ? none : origin,
  ]);
  return table(['POOL', 'STATE', 'BUSY', 'WAITING', 'DEAD', 'OLDEST', 'SUCCESS', 'ORIGIN'], rows);
}

function handlerTable(pools: Pools): string {
  const rows = pools.flatMap((pool) =>
    pool.handlers.map((handler) => [
      handler.name,
      pool.name,
      String(handler.waiting),
      String(handler.dead),
      handlerState(handler, pool),
      rateText(handler),
      errorText(handler),
    ]),
  );
  return table(['HANDLER', 'POOL', 'WAITING', 'DEAD', 'STATE', 'SUCCESS', 'LAST ERROR'], rows);
}

type PoolState = Pick<Pools[number], 'breaker' | 'consecutiveFailures' | 'paused'>;
type Handler = Pools[number]['handlers'][number];

function poolState({ paused, breaker, consecutiveFailures }: PoolState): string {
  if (paused) return 'paused';
  return breaker === 'closed' && consecutiveFailures > 0 ? 'failing' : breakerText(breaker);
}

/** A condition that stops the pool also stops the handler. */
function handlerState({ pausedUntil, ...own }: Handler, pool: PoolState): string {
  if (pool.paused || own.paused) return 'paused';
  if (pausedUntil !== null) return `asked to wait until ${localTime(pausedUntil)}`;
  if (own.breaker === 'closed' && pool.breaker !== 'closed') return `${breakerText(pool.breaker)} (pool)`;
  return poolState(own);
}

/** Attempts in the last five minutes. */
function rateText({ successRate, recentAttempts }: Pick<Handler, 'recentAttempts' | 'successRate'>): string {
  return successRate === null ? none : `${Math.floor(successRate * 100)} % of ${recentAttempts}`;
}

function errorText({ lastError, consecutiveFailures }: Pick<Handler, 'consecutiveFailures' | 'lastError'>): string {
  if (lastError === null) return none;
  const run = consecutiveFailures === 0 ? 'accepted since' : `${consecutiveFailures} in a row`;
  return `${ageText(lastError.at, systemClock.now())}, ${run}: ${lastError.reason}`;
}

function diskSpaceLine([pool]: Pools): string {
  const seconds = pool?.spoolFullInSeconds ?? null;
  if (seconds === null) return '';
  if (seconds === 0) return '\nThe spool is full; intake is stopped. /readyz gives the reason.\n';
  return `\nAt the current rate the spool will be full in ${spanText(seconds)}; intake then stops.\n`;
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
