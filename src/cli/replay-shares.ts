import { letterList, replayedShape } from '../admin/api/dead-letter-shapes.ts';
import type { AdminClient } from './admin-client.ts';
import type { Selection } from './selection.ts';

export interface ReplayedShares {
  readonly count: number;
  readonly failed: number;
  /** False: it was stopped between two shares. */
  readonly whole: boolean;
}

export interface SharesOptions {
  /** Replayed a share. */
  readonly rate: number;
  /** Replayed in all, at most. */
  readonly limit: number;
  /** Resolves when the next share may go, or false when none may any more. */
  nextShare(): Promise<boolean>;
}

/**
 * Replays dead letters share by share, the oldest first, each once: those that die while this goes on, or die again, are
 * not meant.
 */
export async function replayShares(service: AdminClient, selection: Selection, options: SharesOptions): Promise<ReplayedShares> {
  const { before, count: there } = await service.post('/dead-letters/replay', replayedShape, { ...selection, dryRun: true });
  const meant = { ...selection.filter, before };
  const ids = selection.ids ?? [];
  const shares =
    ids.length > 0 ? sharesOf(ids, options) : sharesFound(service, meant, { ...options, limit: Math.min(options.limit, there) });
  const sum = { count: 0, failed: 0 };

  let first = true;
  for await (const share of shares) {
    if (!first && !(await options.nextShare())) return { ...sum, whole: false };
    first = false;
    const { count, failed } = await service.post('/dead-letters/replay', replayedShape, { ids: share, filter: meant });
    sum.count += count;
    sum.failed += failed;
  }
  return { ...sum, whole: true };
}

async function* sharesOf(ids: readonly string[], { rate, limit }: SharesOptions): AsyncGenerator<readonly string[]> {
  const meant = ids.slice(0, limit);
  for (let from = 0; from < meant.length; from += rate) yield meant.slice(from, from + rate);
}

/**
 * Walks along the instants at which letters died. Those that stay dead stay in the list, so what was tried at the instant
 * that the walk has reached is asked for once more and left out.
 */
async function* sharesFound(
  service: AdminClient,
  meant: NonNullable<Selection['filter']>,
  { rate, limit }: SharesOptions,
): AsyncGenerator<readonly string[]> {
  let since = meant.since;
  let tried: readonly string[] = [];
  for (let left = limit; left > 0; ) {
    const size = Math.min(rate, left);
    const query = { ...meant, since, order: 'oldest', limit: size + tried.length };
    const listed = await service.get('/dead-letters', letterList, query);
    const share = listed.filter(({ id }) => !tried.includes(id)).slice(0, size);
    const last = share.at(-1);
    if (last === undefined) return;
    yield share.map(({ id }) => id);

    const atLast = share.filter(({ diedAt }) => diedAt === last.diedAt).map(({ id }) => id);
    tried = last.diedAt === since ? [...tried, ...atLast] : atLast;
    since = last.diedAt;
    left -= share.length;
  }
}
