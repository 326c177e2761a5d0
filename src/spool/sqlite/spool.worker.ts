import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type ErrorCode, ServiceError, toError } from '../../kit/errors.ts';
import { failureOf } from './failure.ts';
import type { FromSpoolThread, Opening, ToSpoolThread } from './protocol.ts';
import { openStore, type Store } from './store.ts';

if (parentPort !== null) serve(workerData as Opening, parentPort); // `thread.ts` alone starts this file

/** Opens the spool, then commits batch after batch. An error that is not about room ends the thread, its reason told. */
function serve(opening: Opening, port: MessagePort): void {
  const tell = (message: FromSpoolThread) => port.postMessage(message);

  const store = attempt('SPOOL_OPEN_FAILED', `cannot open the spool at ${opening.path}`, () => openStore(opening));
  if (store === undefined) return;
  tell({ kind: 'opened', depths: store.depths, paused: store.paused, bytes: store.bytes, loss: store.loss });
  port.on('message', (message: ToSpoolThread) => {
    attempt('SPOOL_FAILED', `the spool at ${opening.path} failed`, () => obey(store, message));
  });

  function obey({ commit, close }: Store, message: ToSpoolThread): void {
    switch (message.kind) {
      case 'batch':
        tell({ kind: 'committed', ...commit(message.commands, message) });
        break;
      case 'close':
        close();
        port.close();
        break;
      default:
        message satisfies never;
    }
  }

  function attempt<T>(code: ErrorCode, what: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (thrown) {
      const error = toError(thrown);
      tell(error instanceof ServiceError ? { kind: 'failed', code: error.code, message: error.message } : failureOf(error, code, what));
      port.close();
      return undefined;
    }
  }
}
