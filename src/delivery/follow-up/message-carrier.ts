import type { Clock } from '../../kit/clock.ts';
import { toError } from '../../kit/errors.ts';
import type { MessageOutcome, Outcome } from '../../model/attempt.ts';
import type { XmppTarget } from '../../model/delivery.ts';
import type { Attempt } from '../attempt.ts';
import { type Carrier, type CarrierCallbacks, misplacedReply } from '../extensions.ts';
import type { Outbox } from './outbox.ts';

export interface MessageCarrierOptions extends CarrierCallbacks {
  readonly outbox: Outbox;
  readonly clock: Clock;
}

/** Carries messages to users. One that waits for its attachment is in flight as long as it takes: no attempt is spent on that. */
export function createMessageCarrier({ outbox, clock, onOutcome, onLost }: MessageCarrierOptions): Carrier {
  const leaving = new AbortController();
  let killed = false;

  async function carry(attempt: Attempt, key: number): Promise<void> {
    const { target } = attempt.delivery;
    if (target.kind !== 'xmpp') return onOutcome(key, misplacedReply);
    const startedAt = clock.monotonic();
    const outcome = await send(attempt, target, () => clock.monotonic() - startedAt);
    if (killed) return;
    if (outcome === undefined) onLost([key]);
    else onOutcome(key, { outcome, judgement: undefined });
  }

  /** Undefined: nobody knows, since it was called off. */
  async function send({ delivery }: Attempt, target: XmppTarget, elapsed: () => number): Promise<Outcome | undefined> {
    const { from, to, fault } = target;
    if (fault !== undefined) return refused(fault, 0);
    try {
      const message = { from, to, body: String(delivery.body), id: delivery.id };
      const handed = await outbox.send(message, { signal: leaving.signal });
      return handed.kind === 'sent' ? { kind: 'sent', durationMs: elapsed() } : refused(handed.reason, elapsed());
    } catch (thrown) {
      if (leaving.signal.aborted) return undefined;
      return { kind: 'broken', code: 'OUTBOX_FAILED', message: toError(thrown).message, durationMs: elapsed() };
    }
  }

  return {
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    kill: async () => {
      killed = true;
      leaving.abort();
    },
    drain: () => leaving.abort(),
    carry: (attempt, { key }) => void Promise.resolve().then(() => carry(attempt, key)), // never within the call
    disposed: () => undefined,
  };
}

function refused(message: string, durationMs: number): MessageOutcome {
  return { kind: 'refused', message, durationMs };
}
