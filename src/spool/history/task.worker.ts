import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../kit/clock.ts';
import { type HistoryTask, runTask } from './task.ts';

parentPort?.postMessage(await runTask(workerData as HistoryTask, systemClock)); // only `history.ts` starts this file
