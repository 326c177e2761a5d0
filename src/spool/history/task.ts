import type { Clock } from '../../kit/clock.ts';
import { type ErasedRecords, eraseRecords, type RecordErasure } from './erase.ts';
import { type HistoryPage, type HistoryQuery, searchHistory } from './search.ts';

/** A search of the history or an erasure from it. */
export type HistoryTask = (HistoryQuery & { readonly kind: 'search' }) | (RecordErasure & { readonly kind: 'erase' });

/** Blocks its thread while it reads files of many megabytes: only `task.worker.ts` and tests call it. */
export function runTask(task: HistoryTask, clock: Pick<Clock, 'monotonic'>): ErasedRecords | HistoryPage {
  return task.kind === 'erase' ? eraseRecords(task, clock) : searchHistory(task, clock);
}
