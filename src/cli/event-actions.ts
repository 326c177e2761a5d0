import { setTimeout as pause } from 'node:timers/promises';
import type { z } from 'zod';
import { actionShape } from '../admin/api/event-shapes.ts';
import { systemClock } from '../kit/clock.ts';
import { type AdminClient, findService } from './admin-client.ts';
import type { Call } from './command.ts';
import { wholeOption } from './options.ts';
import { confirm, counted, output, requireTerminal } from './terminal.ts';

interface Action {
  readonly verb: 'drop' | 'retry';
  readonly done: string;
  readonly selection: { readonly ids?: readonly string[]; readonly filter?: object; readonly all?: true };
}

const maxRate = 1000;

/** Events in one request without --rate. */
const batch = 1000;

/** Counts first, asks before a drop, then acts on batch after batch; Ctrl-C stops it between two. */
export async function actOnEvents({ values }: Call, action: Action): Promise<number> {
  const { verb, done, selection } = action;
  const rate = wholeOption(values, 'rate', { most: maxRate });
  const limit = wholeOption(values, 'limit', { most: Number.MAX_SAFE_INTEGER }) ?? Number.POSITIVE_INFINITY;
  const dryRun = values['dry-run'] === true;
  const asks = verb === 'drop' && values.yes !== true && !dryRun;
  if (asks) requireTerminal();
  const service = await findService(values);
  const counting = await service.post(`/events/${verb}`, actionShape, { ...selection, dryRun: true });
  const count = Math.min(counting.count, limit);
  if (dryRun) {
    output(values.json, { ...counting, count }, `${counted(count, 'event')} would be ${done}.\n`);
    return 0;
  }
  if (asks && !(await confirm(`Permanently drop ${counted(count, 'event')}?`))) return 1;

  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const { ids, filter } = selection;
  const same = { ...(ids && { ids }), filter: { ...filter, before: counting.before } };
  const sum = await inBatches(
    service,
    { ...action, same },
    { size: rate ?? batch, paced: rate !== undefined, limit, of: count, signal: stop.signal },
  );
  output(values.json, sum, summary(sum, done));
  return sum.whole && (sum.count > 0 || sum.skipped.length === 0) ? 0 : 1;
}

interface Batches {
  readonly size: number;
  /** Whether a batch takes at least a second. */
  readonly paced: boolean;
  readonly limit: number;
  /** Number of selected events, for the progress. */
  readonly of: number;
  readonly signal: AbortSignal;
}

interface Sum extends Pick<z.output<typeof actionShape>, 'count' | 'failed'> {
  readonly skipped: readonly { readonly id: string; readonly why: string }[];
  /** False: stopped between two batches. */
  readonly whole: boolean;
}

async function inBatches(
  service: AdminClient,
  { verb, same }: Pick<Action, 'verb'> & { readonly same: object },
  { size, paced, limit, of, signal }: Batches,
): Promise<Sum> {
  let [count, failed] = [0, 0];
  const skipped: Sum['skipped'][number][] = [];
  let cursor: string | undefined;
  do {
    const began = systemClock.monotonic();
    const asked = { ...same, limit: Math.min(size, limit - count), ...(cursor !== undefined && { cursor }) };
    const done = await service.post(`/events/${verb}`, actionShape, asked);
    count += done.count;
    failed += done.failed;
    skipped.push(...done.skipped);
    cursor = done.next ?? undefined;
    if (process.stderr.isTTY) process.stderr.write(`\r${count} of ${of} `);
    if (cursor === undefined || count >= limit) break;
    if (signal.aborted) return { count, failed, skipped, whole: false };
    if (paced) await pause(Math.max(0, began + 1000 - systemClock.monotonic()), undefined, { signal }).catch(() => undefined); // stopped: checked above
  } while (!signal.aborted);
  if (process.stderr.isTTY) process.stderr.write('\n');
  return { count, failed, skipped, whole: !signal.aborted };
}

/** Reasons of skipped events that are printed one by one. */
const listed = 10;

function summary({ count, failed, skipped, whole }: Sum, done: string): string {
  const lines = [`${counted(count, 'event')} ${done}.`];
  if (failed > 0) lines.push(`${failed} stay dead: their callbacks failed again or made no request.`);
  lines.push(...skipped.slice(0, listed).map(({ id, why }) => `${id}: not ${done}: ${why}`));
  if (skipped.length > listed) lines.push(`${skipped.length - listed} more were not ${done}.`);
  if (!whole) lines.push('Stopped; the rest is unchanged.');
  return `${lines.join('\n')}\n`;
}
