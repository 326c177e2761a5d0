/** Entry of the service thread: configuration in, service up, messages to the supervisor. No logic of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { readEnvironment } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { createService } from '../service.ts';
import type { FromServiceThread, ServiceThreadData, ToServiceThread } from './messages.ts';
import { createSharedWatch } from './shared-watch.ts';

const data: ServiceThreadData = workerData;
const tell = (message: FromServiceThread) => parentPort?.postMessage(message);
const fail = (thrown: unknown) => {
  const error = toError(thrown);
  tell({ kind: 'failed', code: error instanceof ServiceError ? error.code : undefined, message: error.message });
};

try {
  const config = await loadConfig(data.file, readEnvironment());
  const handlers = config.handlers.map((handler) => handler.name);
  tell({ kind: 'configured', handlers, blockTimeoutMs: config.callbacks.blockTimeoutMs });
  const watch = createSharedWatch(data.watchMemory, handlers, data.strikes);
  const service = createService(config, { watch, onFailed: (error) => fail(error) });
  parentPort?.on('message', ({ kind }: ToServiceThread) => {
    if (kind === 'stop') void service.stop().finally(() => process.exit(0));
  });
  process.on('unhandledRejection', (reason) => service.events.emit('rejection.stray', { error: toError(reason) }));
  await service.start();
  tell({ kind: 'started' });
} catch (thrown) {
  fail(thrown);
}
