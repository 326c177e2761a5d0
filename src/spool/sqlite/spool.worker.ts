import { parentPort, workerData } from 'node:worker_threads';
import { openHistoryWriter } from '../history/writer.ts';
import { openOperatorCommands } from './operator-commands.ts';
import type { Opening } from './protocol.ts';
import { serve } from './serve.ts';

const opening = workerData as Opening; // only `spool.ts` starts this file
if (parentPort !== null) serve(opening, parentPort, openOperatorCommands, () => openHistoryWriter(opening.journal));
