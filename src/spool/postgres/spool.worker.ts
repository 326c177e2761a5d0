import { parentPort, workerData } from 'node:worker_threads';
import type { Opening } from './protocol.ts';
import { serve } from './serve.ts';

const opening = workerData as Opening; // only `spool.ts` starts this file
if (parentPort !== null) await serve(opening, parentPort);
