import type { Clock } from '../../kit/clock.ts';
import type { Opening } from '../postgres/protocol.ts';
import { type ErasedRecords, eraseRecords, type RecordErasure } from './erase.ts';
import { type HistoryPage, type HistoryQuery, searchHistory } from './search.ts';

/** A search of the history or an erasure from it. */
export type HistoryTask = HistoryPlace & ((HistoryQuery & { readonly kind: 'search' }) | (RecordErasure & { readonly kind: 'erase' }));

/** The folder of a history in files, or the spool in PostgreSQL that it is part of. */
export type HistoryPlace = { readonly folder: string } | { readonly opening: Opening };

/** Blocks its thread while it reads megabytes: only `task.worker.ts` and tests call it. */
export async function runTask(task: HistoryTask, clock: Pick<Clock, 'monotonic'>): Promise<ErasedRecords | HistoryPage> {
  if ('folder' in task) return task.kind === 'erase' ? eraseRecords(task, clock) : searchHistory(task, clock);
  const { runTableTask } = await import('../postgres/history-task.ts'); // loads the driver, which files do not need
  return await runTableTask(task.opening, task, clock);
}
