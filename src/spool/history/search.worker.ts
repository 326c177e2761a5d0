import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../kit/clock.ts';
import { type HistoryQuery, searchHistory } from './search.ts';

parentPort?.postMessage(searchHistory(workerData as HistoryQuery, systemClock)); // only `history.ts` starts this file
