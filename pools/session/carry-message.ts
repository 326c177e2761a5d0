/**
 * One message through the callbacks of its handler's module:
 *
 *   connect → (initSession) → buildRequest → send → handleResponse → statusClassifier → told → disposer → resets
 *
 * A connection that goes before the request is on it, or turns out to be stale, brings it back to the first step, once.
 */

import { LOCAL_SHORTAGE } from '../../src/kit/dial-tcp.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { HttpOutcome, Judgement } from '../../src/model/attempt.ts';
import type { Message } from '../callbacks.ts';
import { connectionGone } from '../connection.ts';
import type { Job, JobMessage, KeyedOutcome, PoolThreadSettings } from '../contract.ts';
import { Exchange, type ExchangeSurroundings, NOT_BUILT } from '../exchange.ts';
import type { HttpClient } from '../http-client.ts';
import { requestHeaders } from '../request-headers.ts';
import { connectAhead, sendOver, type Worker } from '../worker.ts';
import { type Answer, createAnswer } from './answer.ts';
import { createRequestBuilder, sessionRequest } from './build-request.ts';
import type { CallbackCaller } from './call-callback.ts';
import { dispose, hasDisposer } from './dispose.ts';
import type { Dispositions } from './dispositions.ts';
import { internalStatus, troubleOf } from './internal-status.ts';
import { broken, createJudge, type Judged, type Standing, setByModule, troubled, type Verdict } from './judge.ts';
import type { HandlerModule } from './load-modules.ts';
import { createMessage } from './message.ts';
import type { Seat, Sessions } from './sessions.ts';
import { createVariables } from './variables.ts';

export interface MessageCarrierOptions {
  readonly settings: PoolThreadSettings;
  readonly modules: ReadonlyMap<string, HandlerModule>;
  readonly caller: CallbackCaller;
  readonly sessions: Sessions;
  readonly dispositions: Dispositions;
  readonly client: HttpClient;
  /** What exchanges are held against; outcomes are told here, with what the callbacks made of them. */
  readonly around: Omit<ExchangeSurroundings, 'onOutcome'>;
  readonly onOutcome: (outcome: KeyedOutcome) => void;
}

/** Never throws and never rejects; resolves when the worker can take another. */
export type CarryMessage = (job: Job, message: JobMessage) => Promise<void>;

/** One attempt at one message. */
interface Attempt extends Judged {
  readonly job: Job;
  readonly message: Message;
  readonly answer: Answer;
  readonly exchange: Exchange;
  readonly outcome: Promise<HttpOutcome>;
}

/** Where a try led: the message keeps its session until it is over. */
interface Tried {
  readonly seat?: Seat;
  /** The connection was gone before the exchange concluded. */
  readonly lost?: Error | undefined;
}

export function createMessageCarrier(options: MessageCarrierOptions): CarryMessage {
  const { settings, modules, caller, sessions, dispositions, client, around, onOutcome } = options;
  const secure = settings.origin.startsWith('https:');
  const builder = createRequestBuilder(caller, settings.origin);
  const judge = createJudge(caller);

  async function carry(job: Job, given: JobMessage): Promise<void> {
    const module = modules.get(given.handler);
    if (module === undefined) return onOutcome(unknownHandler(job, given));

    const attempt = begin(job, given, module);
    const worker = client.lend();
    const seat = await tryTwice(attempt, worker);
    const outcome = await attempt.outcome;
    if (outcome.kind === 'unsent' && outcome.code === LOCAL_SHORTAGE) {
      onOutcome({ key: job.key, outcome }); // no attempt was made, so there is no outcome to classify
      return client.giveBack(worker);
    }
    const verdict = await judge.verdict(attempt, await standingOf(attempt, seat, outcome));

    const disposition = hasDisposer(module) ? dispositions.of(job.key) : undefined;
    onOutcome({ key: job.key, outcome, judgement: judgementOf(attempt, verdict) });
    if (disposition !== undefined) await dispose(caller, attempt, await disposition);
    await leave(attempt, seat);
    client.giveBack(worker);
  }

  function begin(job: Job, { context, stanza }: JobMessage, module: HandlerModule): Attempt {
    const variables = createVariables(context);
    const answer = createAnswer(settings.maxResponseBytes);
    const { promise: outcome, resolve } = createDeferred<HttpOutcome>();
    const exchange = new Exchange(job, { ...around, onOutcome: (_key, met) => resolve(met) }, answer);
    return { job, module, id: job.id, message: createMessage(job, stanza, variables.context), variables, answer, exchange, outcome };
  }

  /** Gives the session that the message is left on; the exchange has concluded. */
  async function tryTwice(attempt: Attempt, worker: Worker): Promise<Seat | undefined> {
    const first = await tryOnce(attempt, worker);
    if (first.lost === undefined) return first.seat;

    await leave(attempt, first.seat);
    attempt.variables.clear();
    const second = await tryOnce(attempt, worker);
    if (second.lost !== undefined) attempt.exchange.failed(second.lost);
    return second.seat;
  }

  async function tryOnce(attempt: Attempt, worker: Worker): Promise<Tried> {
    const { job, module, message, exchange } = attempt;
    const socket = await connectAhead(worker, exchange);
    if (socket === undefined) return {};

    exchange.pause();
    const seat = await sessions.enter(socket, module, { request: sessionRequest(job), response: attempt.answer.response(), message });
    if (seat === undefined) {
      worker.connection.drop();
      exchange.unsent({ code: NOT_BUILT, message: 'initSession went wrong on this connection' });
      return {};
    }
    if (exchange.concluded) return { seat };

    const built = await builder.build(module, job, seat.session);
    if (built.kind === 'failed') exchange.unsent({ code: NOT_BUILT, message: built.message });
    if (exchange.concluded || built.kind === 'failed') return { seat };
    if (socket.destroyed) return { seat, lost: connectionGone() };

    exchange.rewrite(built.job);
    const headers = requestHeaders(built.job, { userAgent: settings.userAgent, now: around.clock.now() });
    return { seat, lost: await sendOver(worker, exchange, headers) };
  }

  async function standingOf(attempt: Attempt, seat: Seat | undefined, outcome: HttpOutcome): Promise<Standing> {
    switch (outcome.kind) {
      case 'answered':
        if (seat === undefined) throw new Error('an answer came without a session');
        attempt.answer.complete(outcome);
        return judge.answered(attempt, seat.session, outcome);
      case 'timed-out':
        return troubled(attempt, troubleOf(outcome, { secure }), `timed out (${outcome.phase})`);
      case 'broken':
      case 'unreachable':
        return troubled(attempt, troubleOf(outcome, { secure }), `${outcome.code}: ${outcome.message}`);
      case 'unsent':
        return setByModule(attempt) ?? broken(attempt, internalStatus.notBuilt, outcome.message);
      default:
        return outcome satisfies never;
    }
  }

  /** The message is over for this session. */
  async function leave({ module, id }: Attempt, seat: Seat | undefined): Promise<void> {
    if (seat === undefined) return;
    const { session } = seat;
    await caller.call({ module, callback: 'resetRequest', id, invoke: (callbacks) => callbacks.resetRequest?.(session) });
    await caller.call({ module, callback: 'resetResponse', id, invoke: (callbacks) => callbacks.resetResponse?.(session) });
    await caller.call({ module, callback: 'resetSession', id, invoke: (callbacks) => callbacks.resetSession?.(session) });
    seat.leave();
  }

  return carry;
}

function judgementOf({ module, variables }: Attempt, verdict: Verdict): Judgement {
  return { ...verdict, detail: variables.detail, context: variables.kept, awaitsDisposition: hasDisposer(module) };
}

/** It has been renamed or removed since the delivery was handed over. */
function unknownHandler({ key }: Job, { handler, context }: JobMessage): KeyedOutcome {
  const message = `no module of the handler ${handler} is loaded here`;
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
