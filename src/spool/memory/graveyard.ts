import type { DeliveryId } from '../../../pools/contract.ts';
import type { EpochMs } from '../../kit/clock.ts';
import { lastStatus } from '../dead-letter.ts';
import type { AttemptRecord, DeadLetter, DeadLetterDetail, DeadReason, StillBorn } from '../spool.ts';
import type { Owed } from './owed.ts';

/** The dead letters, in the order in which they died. */
export interface Graveyard {
  bury(owed: Owed, death: Death): void;
  buryStillBorn(stillBorn: StillBorn, diedAt: EpochMs): void;
  list(filter: { readonly limit: number; readonly pool?: string; readonly handler?: string }): readonly DeadLetter[];
  find(id: DeliveryId): DeadLetterDetail | undefined;
  /** Removes those that died before; gives them. */
  purge(diedBefore: EpochMs): readonly DeadLetterDetail[];
  all(): readonly DeadLetterDetail[];
}

export interface Death {
  readonly reason: DeadReason;
  readonly detail: string;
  readonly diedAt: EpochMs;
  readonly attempts: number;
  readonly history: readonly AttemptRecord[];
}

export function createGraveyard(): Graveyard {
  let letters: DeadLetterDetail[] = [];

  function bury({ delivery }: Owed, { reason, detail, diedAt, attempts, history }: Death): void {
    const { id, host, handler, pool, createdAt, sender, receiver, target, body } = delivery;
    const status = lastStatus(history);
    letters.push({
      ...{ id, host, handler, pool, reason, detail, status, attempts, createdAt, diedAt, sender, receiver },
      ...{ target, body, packet: null, history },
    });
  }

  function buryStillBorn(stillBorn: StillBorn, diedAt: EpochMs): void {
    const { id, host, handler, pool, reason, detail, createdAt, sender, receiver, packet } = stillBorn;
    letters.push({
      ...{ id, host, handler, pool, reason, detail, status: null, attempts: 0, createdAt, diedAt, sender, receiver },
      ...{ target: null, body: null, packet, history: [] },
    });
  }

  return {
    bury,
    buryStillBorn,
    list: ({ limit, pool, handler }) =>
      letters
        .filter((letter) => (pool === undefined || letter.pool === pool) && (handler === undefined || letter.handler === handler))
        .slice(0, limit)
        .map(withoutContent),
    find: (id) => letters.find((letter) => letter.id === id),
    purge: (diedBefore) => {
      const ended = letters.filter((letter) => letter.diedAt < diedBefore);
      letters = letters.filter((letter) => letter.diedAt >= diedBefore);
      return ended;
    },
    all: () => letters,
  };
}

function withoutContent({ target, body, packet, history, ...letter }: DeadLetterDetail): DeadLetter {
  return letter;
}
