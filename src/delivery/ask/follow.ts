import type { HandlerConfig } from '../../config/config.ts';
import { toError } from '../../kit/errors.ts';
import type { Outcome } from '../../model/attempt.ts';
import type { Answered, AskFailure, NewDelivery } from '../../model/delivery.ts';
import type { Disposition } from '../../spool/spool.ts';
import type { EventSink, Events } from '../../telemetry/events.ts';
import { type ConcludedAttempt, type FollowResult, nothingSpawned, type Spawned } from '../attempt.ts';
import { noReportedError, type ReportedError, readAnswer } from './answer.ts';

interface AskFollowOptions {
  /** The current handlers. */
  readonly handlers: () => readonly HandlerConfig[];
  /** Makes the pushes of an ask. `misnamed`: the answer contains an invalid receiver. */
  readonly prepare: (ask: NewDelivery, answered: Answered) => Promise<Spawned | 'misnamed' | 'unknown-handler'>;
  readonly events: EventSink;
}

/** Turns the answer to a question into pushes, or into none. The question is settled in either case: it is not asked again. */
export class AskFollow {
  readonly #options: AskFollowOptions;

  constructor(options: AskFollowOptions) {
    this.#options = options;
  }

  readonly follow = ({ attempt: { delivery }, outcome }: ConcludedAttempt): Promise<FollowResult> | undefined => {
    if (delivery.target.purpose?.kind !== 'ask') return undefined;
    return this.#conclude(delivery, outcome).catch((thrown: unknown) => dead(toError(thrown).message));
  };

  async #conclude(ask: NewDelivery, outcome: Outcome): Promise<FollowResult> {
    const answer = readAnswer(outcome);
    switch (answer.kind) {
      case 'allowed':
        return await this.#push(ask, this.#ignoresEmptyList(ask, answer) ? { ...answer, userIDList: undefined } : answer);
      case 'failed':
        return await this.#fail(ask, answer.reason, answer);
      case 'misnamed':
        return this.#refuseReceivers(ask, answer);
      case 'withheld':
        this.#emitEnded(ask, { result: 'withheld' });
        return this.#withhold(ask, 'refused', answer);
      default:
        return answer satisfies never;
    }
  }

  async #push(ask: NewDelivery, answered: Answered): Promise<FollowResult> {
    const prepared = await this.#options.prepare(ask, answered);
    if (prepared === 'misnamed') return this.#refuseReceivers(ask, noReportedError);
    if (prepared === 'unknown-handler')
      return dead('the handler is no longer configured: configure it again, then replay this dead letter');
    const pushes = prepared.spawn.length;
    if (pushes + prepared.failedPackets.length === 0) {
      this.#emitEnded(ask, { result: 'withheld' });
      return this.#withhold(ask, 'no-receiver', noReportedError);
    }
    this.#emitEnded(
      ask,
      answered.kind === 'allowed' ? { result: 'allowed', pushes } : { result: 'failed', reason: answered.reason, pushes },
    );
    return { disposition: delivered, ...prepared };
  }

  async #fail(ask: NewDelivery, reason: AskFailure, reported: ReportedError): Promise<FollowResult> {
    if (!this.#refusesOnFailure(ask)) return await this.#push(ask, { kind: 'failed', reason });
    this.#emitEnded(ask, { result: 'failed', reason });
    return this.#withhold(ask, reason, reported);
  }

  #refusesOnFailure(ask: NewDelivery): boolean {
    return this.#configOf(ask)?.onFailure === 'refuse';
  }

  /** In the form of OpenIM 3, an empty list of receivers has no effect. */
  #ignoresEmptyList(ask: NewDelivery, { userIDList }: Extract<Answered, { kind: 'allowed' }>): boolean {
    return userIDList?.length === 0 && this.#configOf(ask)?.form === 'openim-3';
  }

  #configOf(ask: NewDelivery): HandlerConfig['beforePush'] {
    const asking = handlerOf(ask);
    return this.#options.handlers().find(({ name }) => name === asking)?.beforePush;
  }

  /** Ignores `on_failure`: the answer restricts the receivers, and a push to the original receiver could reach an excluded user. */
  #refuseReceivers(ask: NewDelivery, reported: ReportedError): FollowResult {
    this.#emitEnded(ask, { result: 'failed', reason: 'bad-answer' });
    return this.#withhold(ask, 'bad-answer', reported);
  }

  /** Makes no push. This is not a failure, so there is no dead letter. */
  #withhold(ask: NewDelivery, why: Events['push.withheld']['why'], { errCode, errMsg, errDlt }: ReportedError): FollowResult {
    const { facts, pool, sender, receiver, seenAt, createdAt } = ask;
    const event = { ...namesOf(ask), facts, pool, sender, receiver, seenAt, createdAt };
    this.#options.events.emit('push.withheld', { ...event, why, errCode, errMsg, errDlt });
    return { disposition: delivered, ...nothingSpawned };
  }

  #emitEnded(ask: NewDelivery, result: Pick<Events['ask.ended'], 'result'> & Partial<Events['ask.ended']>): void {
    this.#options.events.emit('ask.ended', { ...namesOf(ask), reason: undefined, pushes: 0, ...result });
  }
}

const delivered: Disposition = { kind: 'delivered' };

function dead(detail: string): FollowResult {
  return { disposition: { kind: 'dead', reason: 'callback-failed', detail }, ...nothingSpawned };
}

function namesOf(ask: NewDelivery): Pick<Events['ask.ended'], 'handler' | 'host' | 'id' | 'packetId'> {
  const { id, packetId, host } = ask;
  return { id, packetId, host, handler: handlerOf(ask) };
}

/** The handler whose pushes wait for the answer; the delivery itself names the queue of questions. */
function handlerOf({ handler, target: { purpose } }: NewDelivery): string {
  return purpose?.kind === 'ask' ? purpose.handler : handler;
}
