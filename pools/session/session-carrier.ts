/**
 * Carries the messages of handlers with callbacks at delivery. One attempt:
 *
 *   connect → (initSession) → buildRequest → send → handleResponse → statusClassifier → outcome reported → disposer → resets
 *
 * If the connection closes before the request is on it, or turns out to be stale, the attempt starts again, once.
 */
import type { Socket } from 'node:net';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { LOCAL_SHORTAGE } from '../../src/kit/dial-tcp.ts';
import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import type { DispositionKind, HttpOutcome, Judgement } from '../../src/model/attempt.ts';
import type { Message } from '../callbacks.ts';
import { connectionGone, type Dial } from '../connection.ts';
import type { Job, JobMessage, KeyedOutcome } from '../contract.ts';
import { Exchange, NOT_BUILT } from '../exchange.ts';
import { type HttpClient, type NewWorker, requestHeaders, type Worker } from '../http-client.ts';
import { type Carrier, type CarrierContext, createClient, HttpCarrier } from '../serve.ts';
import { RequestBuilder, sessionRequest } from './build-request.ts';
import { CallbackCaller, type HandlerModule, type ImportModule, loadModules } from './handler-module.ts';
import {
  callbackFailed,
  connectionFailed,
  failureStatus,
  internalStatus,
  Judge,
  type JudgedMessage,
  type MessageStatus,
  statusOfModule,
  type Verdict,
} from './judge.ts';
import { createMessage, Variables } from './message.ts';
import { RecordedResponse } from './recorded-response.ts';
import { type OccupiedSession, Sessions } from './sessions.ts';

interface SessionParts {
  readonly newWorker: NewWorker;
  readonly dial: Dial;
  /** Default: Node's import. */
  readonly importModule?: ImportModule | undefined;
}

/** Imports the modules of the pool's handlers. Throws CALLBACK_LOAD_FAILED. */
export async function openSessionCarrier(context: CarrierContext, { newWorker, dial, importModule }: SessionParts): Promise<Carrier> {
  const { settings, post } = context;
  const modules = await loadModules(settings.handlers, importModule);
  const caller = new CallbackCaller({
    timeoutMs: settings.callbackTimeoutMs,
    timers: systemTimers,
    report: (failure) => post({ kind: 'callback-failed', ...failure }),
  });
  const sessions = new Sessions(modules, caller);
  const client = createClient(context, { newWorker, dial: sessions.wrap(dial) });
  return new SessionCarrier(context, { modules, caller, sessions, client });
}

interface SessionCarrierParts {
  readonly modules: ReadonlyMap<string, HandlerModule>;
  readonly caller: CallbackCaller;
  readonly sessions: Sessions;
  readonly client: HttpClient;
}

/** One attempt at one message. */
interface Attempt extends JudgedMessage {
  readonly job: Job;
  readonly message: Message;
  readonly response: RecordedResponse;
  readonly exchange: Exchange;
  readonly outcome: Promise<HttpOutcome>;
}

/** Result of one try to send the message, which keeps its session until it is over. */
interface Try {
  readonly occupied?: OccupiedSession;
  /** The connection closed before the exchange concluded. */
  readonly lost?: Error | undefined;
}

class SessionCarrier implements Carrier {
  readonly #context: CarrierContext;
  readonly #parts: SessionCarrierParts;
  readonly #plain: HttpCarrier;
  readonly #builder: RequestBuilder;
  readonly #judge: Judge;
  readonly #dispositions: PendingDispositions;

  constructor(context: CarrierContext, parts: SessionCarrierParts) {
    const { origin, callbackTimeoutMs } = context.settings;
    this.#context = context;
    this.#parts = parts;
    this.#plain = new HttpCarrier(context, parts.client);
    this.#builder = new RequestBuilder(parts.caller, origin);
    this.#judge = new Judge(parts.caller);
    this.#dispositions = new PendingDispositions(callbackTimeoutMs, systemTimers);
  }

  carry(job: Job, free: () => void): void {
    if (job.message === undefined) this.#plain.carry(job, free);
    else void this.#carryMessage(job, job.message).then(free);
  }

  disposed(key: number, disposition: DispositionKind): void {
    this.#dispositions.settle(key, disposition);
  }

  stop(): void {
    this.#dispositions.stop();
  }

  async close(): Promise<void> {
    await this.#parts.client.close();
    await this.#parts.sessions.ended();
  }

  async #carryMessage(job: Job, given: JobMessage): Promise<void> {
    const { caller, client, modules } = this.#parts;
    const module = modules.get(given.handler);
    if (module === undefined) return this.#context.onOutcome(unknownHandler(job, given));

    const attempt = this.#begin(job, given, module);
    const worker = client.borrow();
    const occupied = await this.#tryTwice(attempt, worker);
    const outcome = await attempt.outcome;
    if (outcome.kind === 'unsent' && outcome.code === LOCAL_SHORTAGE) {
      this.#context.onOutcome({ key: job.key, outcome }); // no attempt was made, so there is no outcome to judge
      return client.giveBack(worker);
    }
    const verdict = await this.#judge.verdict(attempt, await this.#statusOf(attempt, occupied, outcome));

    const disposition = hasDisposer(module) ? this.#dispositions.of(job.key) : undefined;
    this.#context.onOutcome({ key: job.key, outcome, judgement: judgementOf(attempt, verdict) });
    if (disposition !== undefined) await dispose(caller, attempt, await disposition);
    await this.#leave(attempt, occupied);
    client.giveBack(worker);
  }

  #begin(job: Job, { context, stanza }: JobMessage, module: HandlerModule): Attempt {
    const variables = new Variables(context);
    const response = new RecordedResponse(this.#context.settings.maxResponseBytes);
    const { promise: outcome, resolve } = createDeferred<HttpOutcome>();
    const exchange = new Exchange(job, { ...this.#context, onOutcome: (concluded) => resolve(concluded.outcome) }, response);
    return { job, module, id: job.id, message: createMessage(job, stanza, variables.context), variables, response, exchange, outcome };
  }

  /** Resolves when the exchange has concluded, with the session that the message is left on. */
  async #tryTwice(attempt: Attempt, worker: Worker): Promise<OccupiedSession | undefined> {
    const first = await this.#tryOnce(attempt, worker);
    if (first.lost === undefined) return first.occupied;

    await this.#leave(attempt, first.occupied);
    attempt.variables.clearStatus();
    const second = await this.#tryOnce(attempt, worker);
    if (second.lost !== undefined) attempt.exchange.failed(second.lost);
    return second.occupied;
  }

  async #tryOnce({ job, module, message, response, exchange }: Attempt, worker: Worker): Promise<Try> {
    const socket = await connectAhead(worker, exchange);
    if (socket === undefined) return {};

    exchange.building();
    const properties = { request: sessionRequest(job), response: response.forSession(), message };
    const occupied = await this.#parts.sessions.enter(socket, module, properties);
    if (occupied === undefined) {
      worker.connection.destroy();
      exchange.unsent({ code: NOT_BUILT, message: 'initSession failed on this connection' });
      return {};
    }
    if (exchange.concluded) return { occupied };

    const built = await this.#builder.build(module, job, occupied.session);
    if (built.kind === 'failed') exchange.unsent({ code: NOT_BUILT, message: built.message });
    if (exchange.concluded || built.kind === 'failed') return { occupied };
    if (socket.destroyed) return { occupied, lost: connectionGone() };

    exchange.replaceJob(built.job);
    const { clock, settings } = this.#context;
    const headers = requestHeaders(built.job, { userAgent: settings.userAgent, now: clock.now() });
    return { occupied, lost: await sendOver(worker, exchange, headers) };
  }

  async #statusOf(attempt: Attempt, occupied: OccupiedSession | undefined, outcome: HttpOutcome): Promise<MessageStatus> {
    const secure = this.#context.settings.origin.startsWith('https:');
    switch (outcome.kind) {
      case 'answered':
        if (occupied === undefined) throw new Error('a response was received without a session');
        attempt.response.complete(outcome);
        return this.#judge.answered(attempt, occupied.session, outcome);
      case 'timed-out':
        return connectionFailed(attempt, failureStatus(outcome, { secure }), `timed out (${outcome.phase})`);
      case 'broken':
      case 'unreachable':
        return connectionFailed(attempt, failureStatus(outcome, { secure }), `${outcome.code}: ${outcome.message}`);
      case 'unsent':
        return statusOfModule(attempt) ?? callbackFailed(attempt, internalStatus.notBuilt, outcome.message);
      default:
        return outcome satisfies never;
    }
  }

  /** Calls the resets: the message is over for this session. */
  async #leave({ module, id }: Attempt, occupied: OccupiedSession | undefined): Promise<void> {
    if (occupied === undefined) return;
    const { session } = occupied;
    for (const callback of ['resetRequest', 'resetResponse', 'resetSession'] as const) {
      await this.#parts.caller.call({ module, callback, id, invoke: (callbacks) => callbacks[callback]?.(session) });
    }
    occupied.leave();
  }
}

/**
 * Opens a connection for the worker's next request, or keeps the open one. Undefined: there is none, and the exchange has
 * concluded.
 */
function connectAhead({ connection }: Worker, exchange: Exchange): Promise<Socket | undefined> {
  if (exchange.concluded) return Promise.resolve(undefined);
  const current = connection.hold();
  if (current !== undefined) return Promise.resolve(current);

  exchange.start(() => connection.destroy(new Error('aborted')));
  return new Promise((resolve) => {
    connection.openAhead((error, socket) => {
      if (error !== undefined) exchange.failed(error);
      resolve(exchange.concluded ? undefined : socket);
    });
  });
}

/**
 * Sends the request over the current connection and no other. Resolves when the worker is free, with an error if the connection
 * had closed before a byte of a response, so that the exchange has not concluded.
 */
function sendOver(worker: Worker, exchange: Exchange, headers: string[]): Promise<Error | undefined> {
  return new Promise((resolve) => {
    worker.send(exchange, { headers, free: () => resolve(undefined), onStale: resolve });
  });
}

function judgementOf({ module, variables }: Attempt, verdict: Verdict): Judgement {
  return { ...verdict, detail: variables.detail, context: variables.kept, awaitsDisposition: hasDisposer(module) };
}

/** The handler was renamed or removed after the delivery was handed over. */
function unknownHandler({ key }: Job, { handler, context }: JobMessage): KeyedOutcome {
  const message = `no module of the handler ${handler} is loaded in this thread`;
  return {
    key,
    outcome: { kind: 'unsent', code: NOT_BUILT, message, durationMs: 0 },
    judgement: {
      verdict: 'tempfailed',
      status: internalStatus.notBuilt,
      detail: message,
      origin: 'internal',
      context,
      awaitsDisposition: false,
    },
  };
}

const disposers = {
  dead: 'disposePermfail',
  delivered: 'disposeDelivery',
  retry: 'disposeTempfail',
} as const satisfies Record<DispositionKind, string>;

function hasDisposer({ callbacks }: HandlerModule): boolean {
  return Object.values(disposers).some((name) => callbacks[name] !== undefined);
}

/** Calls the disposer for a disposition. Undefined: the disposition is not known. */
async function dispose(caller: CallbackCaller, { module, message }: Attempt, disposition: DispositionKind | undefined): Promise<void> {
  if (disposition === undefined) return;
  const callback = disposers[disposition];
  await caller.call({ module, callback, id: message.id, invoke: (callbacks) => callbacks[callback]?.(message) });
}

/** Dispositions that workers wait for. After `stop` each wait ends after the time limit of callbacks. */
class PendingDispositions {
  readonly #timeoutMs: number;
  readonly #timers: Timers;
  readonly #pending = new Map<number, Deferred<DispositionKind | undefined>>();
  #stopping = false;

  constructor(timeoutMs: number, timers: Timers) {
    this.#timeoutMs = timeoutMs;
    this.#timers = timers;
  }

  /** Must be called before the outcome is reported. Resolves with undefined if the thread stops before the disposition is known. */
  of(key: number): Promise<DispositionKind | undefined> {
    const deferred = createDeferred<DispositionKind | undefined>();
    this.#pending.set(key, deferred);
    if (this.#stopping) this.#settleLater(key);
    return deferred.promise;
  }

  settle(key: number, disposition: DispositionKind | undefined): void {
    this.#pending.get(key)?.resolve(disposition);
    this.#pending.delete(key);
  }

  stop(): void {
    this.#stopping = true;
    for (const key of this.#pending.keys()) this.#settleLater(key);
  }

  #settleLater(key: number): void {
    const cancel = this.#timers.after(this.#timeoutMs, () => this.settle(key, undefined));
    void this.#pending.get(key)?.promise.then(cancel);
  }
}
