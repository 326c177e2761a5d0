/** The sink in a process of its own, so that its CPU is not counted. */
import { startSink } from './sink.ts';

const sink = await startSink();
process.send?.(sink.origin);
