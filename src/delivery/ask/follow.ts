import type { HandlerConfig } from '../../config/config.ts';
import { toError } from '../../kit/errors.ts';
import type { Answered, AskFailure, NewDelivery } from '../../model/delivery.ts';
import type { Disposition } from '../../spool/spool.ts';
import type { EventSink, Events } from '../../telemetry/events.ts';
import type { Follow, FollowResult } from '../attempt.ts';
import { type ConcludedAttempt, nothingSpawned, type Spawned } from '../attempt.ts';
import { nothingSaid, type Refusal, readAnswer } from './answer.ts';

export interface AskFollowParts {
  /** Asked anew each time: they change with the configuration. */
  readonly handlers: () => readonly HandlerConfig[];
  /** Makes the pushes of an ask: how is the hooks' business. `misnamed`: the answer names somebody who can be nobody. */
  readonly prepare: (ask: NewDelivery, answered: Answered) => Promise<Spawned | 'misnamed' | 'unknown-handler'>;
  readonly events: EventSink;
}

/** What comes of a question: its pushes, or nothing. It is over then, whatever it was answered: nobody is asked twice. */
export function createAskFollow({ handlers, prepare, events }: AskFollowParts): Follow {
  return ({ attempt: { delivery }, outcome }) => {
    if (delivery.target.purpose?.kind !== 'ask') return undefined;
    return conclude(delivery, outcome).catch((thrown: unknown) => dead(toError(thrown).message));
  };

  async function conclude(ask: NewDelivery, outcome: ConcludedAttempt['outcome']): Promise<FollowResult> {
    const answer = readAnswer(outcome);
    switch (answer.kind) {
      case 'allowed':
        return await push(ask, answer);
      case 'failed':
        return await fail(ask, answer.reason, answer);
      case 'misnamed':
        return refuseReceivers(ask, answer);
      case 'withheld':
        tell(ask, { result: 'withheld' });
        return withhold(ask, 'refused', answer);
      default:
        return answer satisfies never;
    }
  }

  async function push(ask: NewDelivery, answered: Answered): Promise<FollowResult> {
    const made = await prepare(ask, answered);
    if (made === 'misnamed') return refuseReceivers(ask, nothingSaid);
    if (made === 'unknown-handler') return dead('its handler is not configured any more: bring it back, and replay this');
    if (made.spawn.length + made.failedPackets.length === 0) {
      tell(ask, { result: 'withheld' });
      return withhold(ask, 'no-receiver', nothingSaid);
    }
    const pushes = made.spawn.length;
    tell(ask, answered.kind === 'allowed' ? { result: 'allowed', pushes } : { result: 'failed', reason: answered.reason, pushes });
    return { disposition: over, ...made };
  }

  async function fail(ask: NewDelivery, reason: AskFailure, refusal: Refusal): Promise<FollowResult> {
    if (!refusesOnFailure(ask)) return await push(ask, { kind: 'failed', reason });
    tell(ask, { result: 'failed', reason });
    return withhold(ask, reason, refusal);
  }

  /** Ignores `on_failure`: the answer restricts the receivers, and a push to the original receiver could reach an excluded user. */
  function refuseReceivers(ask: NewDelivery, refusal: Refusal): FollowResult {
    tell(ask, { result: 'failed', reason: 'bad-answer' });
    return withhold(ask, 'bad-answer', refusal);
  }

  function refusesOnFailure({ target: { purpose } }: NewDelivery): boolean {
    return handlers().some(
      ({ name, beforePush }) => purpose?.kind === 'ask' && name === purpose.handler && beforePush?.onFailure === 'refuse',
    );
  }

  /** Nothing is pushed. That is no failure of anybody's, so there is no dead letter. */
  function withhold(ask: NewDelivery, why: Events['push.withheld']['why'], { errCode, errMsg, errDlt }: Refusal): FollowResult {
    const { sender, receiver } = ask;
    events.emit('push.withheld', { ...namesOf(ask), sender, receiver, why, errCode, errMsg, errDlt });
    return { disposition: over, ...nothingSpawned };
  }

  function tell(ask: NewDelivery, came: Pick<Events['ask.ended'], 'result'> & Partial<Events['ask.ended']>): void {
    events.emit('ask.ended', { ...namesOf(ask), reason: undefined, pushes: 0, ...came });
  }
}

const over: Disposition = { kind: 'delivered' };

/** What nobody can make pushes of now. */
function dead(detail: string): FollowResult {
  return { disposition: { kind: 'dead', reason: 'callback-failed', detail }, ...nothingSpawned };
}

/** Who asked, for logs and metrics. */
function namesOf({ id, packetId, host, handler, target: { purpose } }: NewDelivery): AskNames {
  return { id, packetId, host, handler: purpose?.kind === 'ask' ? purpose.handler : handler };
}

type AskNames = Pick<Events['ask.ended'], 'handler' | 'host' | 'id' | 'packetId'>;
