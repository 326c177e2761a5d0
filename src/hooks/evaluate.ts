/** Packet → deliveries: every handler of the packet's host goes through `when`, `shouldMakeReq`, `prepareHeaders`, `prepareBody`. */
import type { CallbackLimits } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import { systemTimers, type Timers } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import type { DeliveryId, NewRequest } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';
import type { FailedPacket } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import {
  andThen,
  type Call,
  CallbackCaller,
  CallbackFailure,
  type CallbackWatch,
  checkedBody,
  checkedBoolean,
  checkedHeaders,
  type Eventually,
  watched,
} from './call.ts';
import { createContexts, type PacketContext } from './context.ts';
import { DeliveryFactory, type PreparedRequest } from './delivery-factory.ts';
import type { LoadedHandler } from './handler.ts';
import { HandlerIndex } from './handler-index.ts';

/** Deliveries and dead letters of a packet, in the order of the handlers. */
export interface Evaluation {
  readonly deliveries: readonly NewRequest[];
  readonly deadLetters: readonly FailedPacket[];
}

export interface EvaluationOptions {
  readonly limits: CallbackLimits;
  readonly watch: CallbackWatch;
  readonly clock: Clock;
  /** Default: the system's. */
  readonly timers?: Timers;
  readonly newId: () => DeliveryId;
  readonly events: EventSink;
  /** Step before a request is prepared. Default: none. */
  readonly beforeRequest?: BeforeRequest;
}

/** Returns a delivery that takes the place of the prepared request, or undefined. */
export type BeforeRequest = (handler: LoadedHandler, context: PacketContext) => NewRequest | undefined;

interface EvaluatorOptions extends EvaluationOptions {
  /** In the order in which they are evaluated. */
  readonly handlers: readonly LoadedHandler[];
}

export class Evaluator {
  readonly #handlerEvaluator: HandlerEvaluator;
  readonly #contextOf = createContexts();
  #byHost: ReadonlyMap<string, HandlerIndex>;

  constructor(options: EvaluatorOptions) {
    this.#handlerEvaluator = new HandlerEvaluator(options);
    this.#byHost = indexByHost(options.handlers);
  }

  /**
   * Evaluates the handlers of the packet's host one after the other: a handler finds in `acc.metadata` the values of those before
   * it, even if they returned promises. Returns a promise only if a callback does. Never throws, never rejects: a
   * failed callback makes a dead letter of its own handler and does not affect the others.
   */
  evaluate(packet: Packet): Eventually<Evaluation> {
    const handlers = this.#byHost.get(packet.host)?.find(packet);
    if (handlers === undefined || handlers.length === 0) return nothing;

    const context = this.#contextOf(packet);
    const evaluation: OpenEvaluation = { deliveries: [], deadLetters: [] };
    let evaluated = 0;
    for (const handler of handlers) {
      const result = this.#handlerEvaluator.evaluate(handler, context);
      evaluated += 1;
      if (result instanceof Promise) return this.#continueAfter(result, handlers.slice(evaluated), { context, evaluation });
      add(result, evaluation);
    }
    return evaluation;
  }

  async #continueAfter(
    pending: Promise<HandlerResult>,
    rest: readonly LoadedHandler[],
    { context, evaluation }: { readonly context: PacketContext; readonly evaluation: OpenEvaluation },
  ): Promise<Evaluation> {
    add(await pending, evaluation);
    for (const handler of rest) add(await this.#handlerEvaluator.evaluate(handler, context), evaluation);
    return evaluation;
  }

  /** Changes the handlers, from the next packet on; a packet under evaluation keeps the handlers that it started with. */
  swap(handlers: readonly LoadedHandler[]): void {
    this.#byHost = indexByHost(handlers);
  }
}

const nothing: Evaluation = { deliveries: [], deadLetters: [] };

interface OpenEvaluation {
  deliveries: NewRequest[];
  readonly deadLetters: FailedPacket[];
}

function add(result: HandlerResult, evaluation: OpenEvaluation): void {
  switch (result.kind) {
    case 'failed':
      evaluation.deadLetters.push(result.failedPacket);
      return;
    case 'no-request':
      return;
    case 'request':
      if (evaluation.deliveries.length > 0) evaluation.deliveries.push(result.delivery);
      else evaluation.deliveries = [result.delivery]; // the usual case; `push` would reserve space for 17
      return;
    default:
      result satisfies never;
  }
}

function indexByHost(handlers: readonly LoadedHandler[]): ReadonlyMap<string, HandlerIndex> {
  const byHost = new Map<string, LoadedHandler[]>();
  for (const handler of handlers) {
    for (const host of handler.config.hosts) {
      const own = byHost.get(host);
      if (own === undefined) byHost.set(host, [handler]);
      else own.push(handler);
    }
  }
  return new Map(Array.from(byHost, ([host, own]) => [host, new HandlerIndex(own)]));
}

/** Result of evaluating one packet for one handler. */
export type HandlerResult =
  | { readonly kind: 'failed'; readonly failedPacket: FailedPacket }
  | { readonly kind: 'no-request' }
  | { readonly kind: 'request'; readonly delivery: NewRequest };

const noRequest: HandlerResult = { kind: 'no-request' };

/** Evaluates one packet for one handler. Its methods never throw and never reject. */
export class HandlerEvaluator {
  readonly #caller: CallbackCaller;
  readonly #watch: CallbackWatch;
  readonly #factory: DeliveryFactory;
  readonly #events: EventSink;
  readonly #beforeRequest: BeforeRequest | undefined;

  constructor({ limits, watch, clock, timers = systemTimers, newId, events, beforeRequest }: EvaluationOptions) {
    this.#caller = new CallbackCaller({ timeoutMs: limits.timeoutMs, watch, clock, timers, events });
    this.#watch = watch;
    this.#factory = new DeliveryFactory({ clock, newId });
    this.#events = events;
    this.#beforeRequest = beforeRequest;
  }

  evaluate(handler: LoadedHandler, context: PacketContext): Eventually<HandlerResult> {
    return this.#guarded(handler, context, this.#evaluate);
  }

  /** The last two callbacks only: the packet was evaluated before, and its answer has come. */
  prepare(handler: LoadedHandler, context: PacketContext): Eventually<HandlerResult> {
    return this.#guarded(handler, context, this.#prepare);
  }

  #guarded(handler: LoadedHandler, context: PacketContext, run: EvaluationStep): Eventually<HandlerResult> {
    try {
      if (this.#watch.struckOut(handler.config.name, context.packet.key)) return this.#skip(handler, context);
      const result = run(handler, context);
      return result instanceof Promise ? result.catch((thrown: unknown) => this.#fail(handler, context, thrown)) : result;
    } catch (thrown) {
      return this.#fail(handler, context, thrown);
    }
  }

  readonly #evaluate: EvaluationStep = (handler, context) => {
    if (!this.#matches(handler, context.packet)) return noRequest;
    return andThen(this.#shouldMakeReq(handler, context), (wanted) => (wanted ? this.#makeRequest(handler, context) : noRequest));
  };

  /** A handler without `when` is not watched: the watch costs more than its rule. */
  #matches(handler: LoadedHandler, packet: Packet): boolean {
    const { name, when } = handler.config;
    if (when === undefined) return handler.matches(packet);
    return watched(this.#watch, { handler: name, packetKey: packet.key }, () => handler.matches(packet));
  }

  #shouldMakeReq(handler: LoadedHandler, context: PacketContext): Eventually<boolean> {
    const { builtIn, config, callbacks } = handler;
    if (builtIn !== undefined) return config.when !== undefined || builtIn.shouldMakeReq(context.fields);
    const asked = context.packetAsked(handler);
    return this.#call(handler, context, {
      callback: 'shouldMakeReq',
      invoke: () => callbacks.shouldMakeReq(asked),
      check: checkedBoolean,
    });
  }

  #makeRequest(handler: LoadedHandler, context: PacketContext): Eventually<HandlerResult> {
    const delivery = this.#beforeRequest?.(handler, context);
    return delivery === undefined ? this.#prepare(handler, context) : { kind: 'request', delivery };
  }

  readonly #prepare: EvaluationStep = (handler, context) => {
    const { builtIn, callbacks } = handler;
    if (builtIn !== undefined)
      return this.#request(handler, context, { headers: builtIn.headers, body: builtIn.prepareBody(context.fields) });

    const prepared = context.requestPrepared(handler);
    const givenHeaders = this.#call(handler, context, {
      callback: 'prepareHeaders',
      invoke: () => callbacks.prepareHeaders(prepared),
      check: checkedHeaders,
    });
    return andThen(givenHeaders, (headers) => {
      const givenBody = this.#call(handler, context, {
        callback: 'prepareBody',
        invoke: () => callbacks.prepareBody(prepared),
        check: checkedBody,
      });
      return andThen(givenBody, (body) => this.#request(handler, context, { headers, body }));
    });
  };

  #request(handler: LoadedHandler, context: PacketContext, prepared: PreparedRequest): HandlerResult {
    return { kind: 'request', delivery: this.#factory.request(handler, context, prepared) };
  }

  #call<T>({ config }: LoadedHandler, { packet }: PacketContext, step: Step<T>): Eventually<T> {
    return this.#caller.call({ handler: config.name, packetKey: packet.key, ...step });
  }

  #fail(handler: LoadedHandler, context: PacketContext, thrown: unknown): HandlerResult {
    const error = thrown instanceof CallbackFailure ? thrown : new CallbackFailure('shouldMakeReq', thrown);
    return this.#failed(handler, context, { callback: error.callback, error, reason: 'callback-failed' });
  }

  #skip(handler: LoadedHandler, context: PacketContext): HandlerResult {
    const error = blockedTooOften(handler, 'packet');
    return this.#failed(handler, context, { callback: 'shouldMakeReq', error, reason: 'callback-blocked' });
  }

  #failed(handler: LoadedHandler, context: PacketContext, { callback, error, reason }: Failure): HandlerResult {
    this.#events.emit('callback.failed', { handler: handler.config.name, callback, packetId: context.packet.id, error });
    return { kind: 'failed', failedPacket: this.#factory.failedPacket(handler, context, { reason, detail: error.message }) };
  }
}

interface Failure extends Pick<CallbackFailure, 'callback'> {
  readonly error: Error;
  readonly reason: 'callback-blocked' | 'callback-failed';
}

type EvaluationStep = (handler: LoadedHandler, context: PacketContext) => Eventually<HandlerResult>;

type Step<T> = Pick<Call<T>, 'callback' | 'check' | 'invoke'>;

export function blockedTooOften({ config: { name, callbackModule } }: LoadedHandler, what: 'message' | 'packet'): ServiceError {
  const text = `handler ${name} (${callbackModule}) blocked the thread on this ${what} too often; it is skipped for this ${what}`;
  return new ServiceError('CALLBACK_BLOCKED', text);
}
