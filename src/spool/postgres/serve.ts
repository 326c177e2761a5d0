import type { MessagePort } from 'node:worker_threads';
import { systemClock, systemTimers, within } from '../../kit/clock.ts';
import { type ErrorCode, messageOf, ServiceError, toError } from '../../kit/errors.ts';
import type { ThreadState } from '../engine-thread.ts';
import { BatchReader } from '../sqlite/batch-message.ts';
import { Engine } from './engine.ts';
import type { Opening, Report, ToThread } from './protocol.ts';
import { Session } from './session.ts';

/** How long the last records of the history may take to be stored, ms; without a connection they are lost. */
const closingMs = 5000;

/** Opens the spool, then commits batch after batch: the sender waits for the answers to one before it sends the next. */
export async function serve(opening: Opening, port: MessagePort): Promise<void> {
  const send = (message: Report | ThreadState) => port.postMessage(message);
  const engine = new Engine(new Session(opening, (reason) => send({ kind: 'stalled', reason })), opening.history);
  const where = `the spool in PostgreSQL at ${opening.address}`;

  if (!(await attempt('SPOOL_OPEN_FAILED', `cannot open ${where}`, async () => send({ kind: 'opened', ...(await engine.open()) })))) return;
  port.on('message', (message: ToThread) => void attempt('SPOOL_FAILED', `${where} failed`, () => receive(message)));

  async function receive(message: ToThread): Promise<void> {
    switch (message.kind) {
      case 'batch':
        return send({
          kind: 'committed',
          ...(await engine.commit(new BatchReader(message.commands).read(), message)),
          history: engine.held,
        });
      case 'close':
        await within(engine.commit([], { maintain: false, now: systemClock.now(), records: message.records }), closingMs, systemTimers);
        port.close();
        return engine.close();
      default:
        return message satisfies never;
    }
  }

  /** Reports an error, which ends the thread. */
  async function attempt(code: ErrorCode, what: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (thrown) {
      const error = toError(thrown);
      if (error instanceof ServiceError) send({ kind: 'failed', code: error.code, message: error.message });
      else send({ kind: 'failed', code, message: `${what}: ${messageOf(error)}` });
      port.close();
      await engine.close();
      return false;
    }
  }
}
