import { parentPort, workerData } from 'node:worker_threads';
import { openOperatorCommands } from './operator-commands.ts';
import type { Opening } from './protocol.ts';
import { serve } from './serve.ts';

if (parentPort !== null) serve(workerData as Opening, parentPort, openOperatorCommands); // only `spool.ts` starts this file
