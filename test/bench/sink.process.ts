/** The sink in a separate process, so that its CPU is not counted. */
import { startSink } from './sink.ts';

const sink = await startSink();
process.send?.(sink.origin);
