import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../src/kit/clock.ts';
import { createDeferred } from '../src/kit/deferred.ts';
import { createPacer } from '../src/kit/pacer.ts';
import { systemTimers } from '../src/kit/timers.ts';
import type { FromPoolThread, Job, KeyedOutcome, PoolThreadSettings, ToPoolThread } from './contract.ts';
import { createDeadlines } from './deadlines.ts';
import { createDial } from './dial.ts';
import { Exchange, type ExchangeSurroundings } from './exchange.ts';
import { createHttpClient, loadClient, type NewWorker } from './http-client.ts';
import { unsendable } from './request-headers.ts';
import { createCallbackCaller } from './session/call-callback.ts';
import { createMessageCarrier } from './session/carry-message.ts';
import { createDispositions } from './session/dispositions.ts';
import { type HandlerModule, type ImportModule, loadModules } from './session/load-modules.ts';
import { createSessions } from './session/sessions.ts';
import { createWorkerQueue } from './worker-queue.ts';

export interface ThreadSurroundings {
  readonly port: MessagePort;
  readonly settings: PoolThreadSettings;
  readonly clock: Clock;
  /** How callback modules are imported; default: Node's own way. */
  readonly importModule?: ImportModule;
}

/**
 * A pool thread's whole life: imports the modules of its handlers, takes jobs from the port and sends each outcome back
 * when its own request has ended, with those of the same millisecond in one message. Resolves after `stop`, when nothing
 * is in flight and all is closed. Throws CALLBACK_LOAD_FAILED.
 */
export async function serve({ port, settings, clock, importModule }: ThreadSurroundings): Promise<void> {
  const modules = await loadModules(settings.handlers, importModule);
  const newWorker = await loadClient(settings);
  const stopped = createDeferred<void>();
  const post = (message: FromPoolThread): void => port.postMessage(message);
  const outcomes = createOutcomeBatch(clock, post);
  const { client, sessions, dispositions, carry } = createCarriers({ settings, newWorker, clock, modules, post, onOutcome: outcomes.add });
  const queue = createWorkerQueue(settings.workers, carry);

  port.on('message', (message: ToPoolThread) => {
    switch (message.kind) {
      case 'disposed':
        return dispositions.told(message.key, message.disposition);
      case 'jobs':
        return message.jobs.forEach(queue.enqueue);
      case 'ping':
        return post({ kind: 'alive' });
      case 'stop':
        dispositions.stop();
        return stopped.resolve();
      default:
        return message satisfies never;
    }
  });

  await stopped.promise;
  await queue.idle();
  await client.close();
  await sessions.ended();
  outcomes.flush();
  port.close();
}

interface CarriersOptions extends Pick<ThreadSurroundings, 'clock' | 'settings'> {
  readonly newWorker: NewWorker;
  readonly modules: ReadonlyMap<string, HandlerModule>;
  readonly post: (message: FromPoolThread) => void;
  readonly onOutcome: (outcome: KeyedOutcome) => void;
}

/** What carries jobs: those with a message go through their handler's callbacks, the others straight to the client. */
function createCarriers({ settings, newWorker, clock, modules, post, onOutcome }: CarriersOptions) {
  const patience = { timeoutMs: settings.callbackTimeoutMs, timers: systemTimers };
  const caller = createCallbackCaller({ ...patience, report: (failure) => post({ kind: 'callback-failed', ...failure }) });
  const dispositions = createDispositions(patience);
  const sessions = createSessions(modules, caller);

  const dial = createDial(settings);
  const client = createHttpClient({ settings, newWorker, clock, dial: modules.size === 0 ? dial : sessions.over(dial) });
  const shared = { settings, clock, deadlines: createDeadlines(clock) };
  const around: ExchangeSurroundings = { ...shared, onOutcome: (key, outcome) => onOutcome({ key, outcome }) };
  const carryMessage = createMessageCarrier({ settings, modules, caller, sessions, dispositions, client, around: shared, onOutcome });

  function carry(job: Job, free: () => void): void {
    if (job.message !== undefined) return void carryMessage(job, job.message).then(free);
    const exchange = new Exchange(job, around);
    if (exchange.endsUnsent()) return free();
    const mistake = unsendable(job);
    if (mistake === undefined) return client.send(exchange, free);
    exchange.unsent(mistake);
    free();
  }

  return { client, sessions, dispositions, carry };
}

/** Messages leave at most this often, ms. */
const outcomesEveryMs = 1;

/** Gathers outcomes: the first after a rest leaves at once, then all that came meanwhile. */
function createOutcomeBatch(clock: Clock, post: (message: FromPoolThread) => void) {
  let batch: KeyedOutcome[] = [];
  const pacer = createPacer({ everyMs: outcomesEveryMs, clock, timers: systemTimers }, flush);

  function flush(): void {
    if (batch.length > 0) post({ kind: 'outcomes', outcomes: batch });
    batch = [];
  }

  function add(outcome: KeyedOutcome): void {
    batch.push(outcome);
    pacer.nudge();
  }

  return { add, flush };
}
