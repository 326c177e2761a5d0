import type { MessagePort } from 'node:worker_threads';
import { type Clock, systemTimers } from '../src/kit/clock.ts';
import type { Resolve } from '../src/kit/dial-tcp.ts';
import { createDeferred } from '../src/kit/lifecycle.ts';
import { Pacer, systemRandom } from '../src/kit/pacing.ts';
import type { DispositionKind } from '../src/model/attempt.ts';
import type { FromPoolThread, Job, KeyedOutcome, PoolThreadSettings, ToPoolThread } from './contract.ts';
import { createDeadlines } from './deadlines.ts';
import { createDial } from './dial.ts';
import { Exchange, type ExchangeSurroundings } from './exchange.ts';
import { createHttpClient, loadClient } from './http-client.ts';
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
  /** Resolves host names; default: the system's resolver. */
  readonly resolve?: Resolve;
}

/**
 * A pool thread's whole life: imports the modules of its handlers, takes jobs from the port and sends each outcome back
 * when its own request has ended, with those of the same millisecond in one message. Resolves after `stop`, when nothing
 * is in flight and all is closed. Throws CALLBACK_LOAD_FAILED.
 */
export async function serve({ port, settings, clock, importModule, resolve }: ThreadSurroundings): Promise<void> {
  const modules = await loadModules(settings.handlers, importModule);
  const stopped = createDeferred<void>();
  const post = (message: FromPoolThread): void => port.postMessage(message);
  const outcomes = createOutcomeBatch(clock, post);
  const open = settings.origin === '' ? openForOrders : openForOrigin;
  const carriers = await open({ settings, clock, modules, resolve, post, onOutcome: outcomes.add });
  const queue = createWorkerQueue(settings.workers, carriers.carry);

  port.on('message', (message: ToPoolThread) => {
    switch (message.kind) {
      case 'disposed':
        return carriers.disposed(message.key, message.disposition);
      case 'jobs':
        return message.jobs.forEach(queue.enqueue);
      case 'ping':
        return post({ kind: 'alive' });
      case 'stop':
        carriers.stop();
        return stopped.resolve();
      default:
        return message satisfies never;
    }
  });

  await stopped.promise;
  await queue.idle();
  await carriers.close();
  outcomes.flush();
  port.close();
}

/** What carries a thread's jobs. */
interface Carriers {
  carry(job: Job, free: () => void): void;
  disposed(key: number, disposition: DispositionKind): void;
  /** Nobody is told any more what became of deliveries. */
  stop(): void;
  /** Nothing is under way any more. */
  close(): Promise<void>;
}

interface CarriersOptions extends Pick<ThreadSurroundings, 'clock' | 'settings'> {
  readonly modules: ReadonlyMap<string, HandlerModule>;
  readonly resolve: Resolve | undefined;
  readonly post: (message: FromPoolThread) => void;
  readonly onOutcome: (outcome: KeyedOutcome) => void;
}

/** Jobs with a message go through their handler's callbacks, the others straight to the client. */
async function openForOrigin({ settings, clock, modules, resolve, post, onOutcome }: CarriersOptions): Promise<Carriers> {
  const newWorker = await loadClient(settings);
  const patience = { timeoutMs: settings.callbackTimeoutMs, timers: systemTimers };
  const caller = createCallbackCaller({ ...patience, report: (failure) => post({ kind: 'callback-failed', ...failure }) });
  const dispositions = createDispositions(patience);
  const sessions = createSessions(modules, caller);

  const dial = createDial(settings, resolve);
  const around = surroundings(settings, clock, onOutcome);
  const client = createHttpClient({
    settings,
    newWorker,
    clock,
    random: systemRandom,
    dial: modules.size === 0 ? dial : sessions.over(dial),
  });
  const carryMessage = createMessageCarrier({ settings, modules, caller, sessions, dispositions, client, around, onOutcome });

  function carry(job: Job, free: () => void): void {
    if (job.message !== undefined) return void carryMessage(job, job.message).then(free);
    const exchange = new Exchange(job, around);
    if (exchange.endsUnsent()) return free();
    const mistake = unsendable(job);
    if (mistake === undefined) return client.send(exchange, free);
    exchange.unsent(mistake);
    free();
  }

  async function close(): Promise<void> {
    await client.close();
    await sessions.ended();
  }

  return { carry, disposed: dispositions.told, stop: dispositions.stop, close };
}

/** Each job brings its destination; no handler has a session there. */
async function openForOrders({ settings, clock, resolve, onOutcome }: CarriersOptions): Promise<Carriers> {
  const { createOrderCarrier } = await import('./order-carrier.ts'); // brings got, which other threads may do without
  const carry = createOrderCarrier({ settings, clock, around: surroundings(settings, clock, onOutcome), resolve });
  return { carry, disposed: () => undefined, stop: () => undefined, close: () => Promise.resolve() };
}

function surroundings(settings: PoolThreadSettings, clock: Clock, onOutcome: CarriersOptions['onOutcome']): ExchangeSurroundings {
  return { settings, clock, deadlines: createDeadlines(clock), onOutcome: (key, outcome) => onOutcome({ key, outcome }) };
}

/** Messages leave at most this often, ms. */
const outcomesEveryMs = 1;

/** Gathers outcomes: the first after a rest leaves at once, then all that came meanwhile. */
function createOutcomeBatch(clock: Clock, post: (message: FromPoolThread) => void) {
  let batch: KeyedOutcome[] = [];
  const pacer = new Pacer({ everyMs: outcomesEveryMs, clock, timers: systemTimers }, flush);

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
