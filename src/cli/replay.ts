import { setTimeout as pause } from 'node:timers/promises';
import { letterList, replayedShape } from '../admin/api/dead-letter-shapes.ts';
import { systemClock } from '../kit/clock.ts';
import { type AdminClient, findService } from './admin-client.ts';
import type { Call } from './command.ts';
import { type Selection, selectionIn, wholeOption } from './options.ts';
import { counted, output } from './terminal.ts';

const maxRate = 1000;

/** Replays all at once or, with --rate, a number per second; Ctrl-C stops it between two seconds. */
export async function replay(call: Call): Promise<number> {
  const { values } = call;
  const selection = selectionIn(call);
  const rate = wholeOption(values, 'rate', { most: maxRate });
  const limit = wholeOption(values, 'limit', { most: Number.MAX_SAFE_INTEGER });
  const service = await findService(values);
  if (rate !== undefined && values['dry-run'] !== true) return replayAtRate(service, selection, { rate, limit, json: values.json });

  const dryRun = values['dry-run'] === true;
  const done = await service.post('/dead-letters/replay', replayedShape, { ...selection, dryRun, ...(limit !== undefined && { limit }) });
  output(values.json, done, dryRun ? `${counted(done.count, 'dead letter')} would be replayed.\n` : summary(done));
  return 0;
}

interface AtRate {
  readonly rate: number;
  readonly limit: number | undefined;
  readonly json: boolean | undefined;
}

async function replayAtRate(service: AdminClient, selection: Selection, { rate, limit, json }: AtRate): Promise<number> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  let began = systemClock.monotonic();

  async function nextBatch(): Promise<boolean> {
    const rest = Math.max(0, began + 1000 - systemClock.monotonic());
    await pause(rest, undefined, { signal: stop.signal }).catch(() => undefined); // stopped: the return value reports it
    began = systemClock.monotonic();
    return !stop.signal.aborted;
  }

  const { whole, ...done } = await replayInBatches(service, selection, { rate, limit: limit ?? Number.POSITIVE_INFINITY, nextBatch });
  output(json, done, whole ? summary(done) : `${summary(done)}Stopped; the rest are still dead letters.\n`);
  return whole ? 0 : 1;
}

function summary({ count, failed }: { readonly count: number; readonly failed: number }): string {
  const rest = failed === 0 ? '' : `${failed} stay dead: their callbacks failed again or made no request.\n`;
  return `${counted(count, 'dead letter')} replayed.\n${rest}`;
}

interface BatchReplay {
  readonly count: number;
  readonly failed: number;
  /** False: stopped between two batches. */
  readonly whole: boolean;
}

interface BatchOptions {
  /** Size of a batch. */
  readonly rate: number;
  /** Maximum number of replayed dead letters. */
  readonly limit: number;
  /** Resolves with true when the next batch may start, or with false to stop. */
  nextBatch(): Promise<boolean>;
}

/**
 * Replays dead letters in batches, the oldest first, each once: letters that die during the replay, also again, are not
 * replayed.
 */
export async function replayInBatches(service: AdminClient, selection: Selection, options: BatchOptions): Promise<BatchReplay> {
  const { before, count: available } = await service.post('/dead-letters/replay', replayedShape, { ...selection, dryRun: true });
  const selected = { ...selection.filter, before };
  const ids = selection.ids ?? [];
  const batches =
    ids.length > 0 ? batchesOf(ids, options) : foundBatches(service, selected, { ...options, limit: Math.min(options.limit, available) });
  const sum = { count: 0, failed: 0 };

  let first = true;
  for await (const batch of batches) {
    if (!first && !(await options.nextBatch())) return { ...sum, whole: false };
    first = false;
    const { count, failed } = await service.post('/dead-letters/replay', replayedShape, { ids: batch, filter: selected });
    sum.count += count;
    sum.failed += failed;
  }
  return { ...sum, whole: true };
}

async function* batchesOf(ids: readonly string[], { rate, limit }: BatchOptions): AsyncGenerator<readonly string[]> {
  const selected = ids.slice(0, limit);
  for (let from = 0; from < selected.length; from += rate) yield selected.slice(from, from + rate);
}

/**
 * Walks along the times of death. Letters that stay dead stay in the list, so the letters already tried at the current time
 * are listed again and skipped.
 */
async function* foundBatches(
  service: AdminClient,
  selected: NonNullable<Selection['filter']>,
  { rate, limit }: BatchOptions,
): AsyncGenerator<readonly string[]> {
  let since = selected.since;
  let tried: readonly string[] = [];
  for (let left = limit; left > 0; ) {
    const size = Math.min(rate, left);
    const query = { ...selected, since, order: 'oldest', limit: size + tried.length };
    const listed = await service.get('/dead-letters', letterList, query);
    const batch = listed.filter(({ id }) => !tried.includes(id)).slice(0, size);
    const last = batch.at(-1);
    if (last === undefined) return;
    yield batch.map(({ id }) => id);

    const atLast = batch.filter(({ diedAt }) => diedAt === last.diedAt).map(({ id }) => id);
    tried = last.diedAt === since ? [...tried, ...atLast] : atLast;
    since = last.diedAt;
    left -= batch.length;
  }
}
