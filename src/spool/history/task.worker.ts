import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../kit/clock.ts';
import { eraseRecords } from './erase.ts';
import type { HistoryTask } from './history.ts';
import { searchHistory } from './search.ts';

const task = workerData as HistoryTask; // only `history.ts` starts this file
parentPort?.postMessage(task.kind === 'erase' ? eraseRecords(task, systemClock) : searchHistory(task, systemClock));
