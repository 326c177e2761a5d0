import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../../kit/clock.ts';
import { type ErrorCode, ServiceError, toError } from '../../kit/errors.ts';
import type { ThreadState } from '../engine-thread.ts';
import { BatchReader } from './batch-message.ts';
import type { OpenOperator } from './command-runner.ts';
import { failureOf } from './errors.ts';
import type { CommittedReport, Journal, Opening, ToSpoolThread } from './protocol.ts';
import { openStore, type Store } from './store.ts';

/** Opens the spool, then commits batch after batch. An error other than a lack of space is reported and ends the thread. */
export function serve(opening: Opening, port: MessagePort, openOperator: OpenOperator, openJournal: () => Journal | undefined): void {
  const send = (message: CommittedReport | ThreadState) => port.postMessage(message);

  const opened = attempt('SPOOL_OPEN_FAILED', `cannot open the spool at ${opening.path}`, () => {
    return { store: openStore(opening, openOperator), journal: openJournal() };
  });
  if (opened === undefined) return;
  const { store, journal } = opened;
  send({ kind: 'opened', ...store.opened });
  port.on('message', (message: ToSpoolThread) => {
    attempt('SPOOL_FAILED', `the spool at ${opening.path} failed`, () => receive(store, message));
  });

  function receive(store: Store, message: ToSpoolThread): void {
    switch (message.kind) {
      case 'batch':
        journal?.write(message.records, message.now);
        if (message.maintain) journal?.maintain(message.now);
        send({ kind: 'committed', ...store.commit(new BatchReader(message.commands).read(), message) });
        break;
      case 'close':
        journal?.write(message.records, systemClock.now());
        journal?.close();
        store.close();
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
      send(error instanceof ServiceError ? { kind: 'failed', code: error.code, message: error.message } : failureOf(error, code, what));
      port.close();
      return undefined;
    }
  }
}
