import type { EpochMs } from '../../kit/clock.ts';
import type { DeadReason } from '../../model/attempt.ts';
import { lastStatus } from '../../model/attempt.ts';
import type { DeliveryId, NewDelivery } from '../../model/delivery.ts';
import type { DeadFilter, DeadLetter, DeadLetterDetail, FailedPacket } from '../dead-letter.ts';
import { createDeadTest } from '../dead-letter.ts';
import type { Refused } from '../spool.ts';
import type { Owed } from './owed.ts';

/** A dead letter, and the delivery that it was; undefined where it never was one. */
export interface Grave {
  readonly letter: DeadLetterDetail;
  readonly delivery: NewDelivery | undefined;
}

/** The dead letters, in the order in which they died. */
export interface Graveyard {
  bury(owed: Owed, death: Death): void;
  buryFailedPacket(failedPackets: FailedPacket, diedAt: EpochMs): void;
  buryRefused(refused: Refused, diedAt: EpochMs): void;
  list(filter: DeadFilter): readonly DeadLetter[];
  graves(filter: DeadFilter): readonly Grave[];
  /** The newest of this id. */
  find(id: DeliveryId): Grave | undefined;
  remove(graves: readonly Grave[]): void;
}

export interface Death {
  readonly reason: DeadReason;
  readonly detail: string;
  readonly diedAt: EpochMs;
}

export function createGraveyard(): Graveyard {
  let all: Grave[] = [];

  function bury({ delivery, history }: Pick<Owed, 'delivery' | 'history'>, { reason, detail, diedAt }: Death): void {
    const { id, host, handler, pool, createdAt, sender, receiver, target, body } = delivery;
    const [status, attempts] = [lastStatus(history), history.length];
    const letter = {
      ...{ id, host, handler, pool, reason, detail, status, attempts, createdAt, diedAt, sender, receiver },
      ...{ target, body, packet: null, history },
    };
    all.push({ letter, delivery });
  }

  function buryFailedPacket(failedPackets: FailedPacket, diedAt: EpochMs): void {
    const { id, host, handler, pool, reason, detail, createdAt, sender, receiver, packet } = failedPackets;
    const letter = {
      ...{ id, host, handler, pool, reason, detail, status: null, attempts: 0, createdAt, diedAt, sender, receiver },
      ...{ target: null, body: null, packet, history: [] },
    };
    all.push({ letter, delivery: undefined });
  }

  function graves(filter: DeadFilter): readonly Grave[] {
    const isMeant = createDeadTest(filter);
    return all.filter(({ letter }) => isMeant(letter));
  }

  return {
    bury,
    buryFailedPacket,
    buryRefused: ({ delivery, reason, detail }, diedAt) => bury({ delivery, history: [] }, { reason, detail, diedAt }),
    list: (filter) => graves(filter).map(({ letter }) => withoutContent(letter)),
    graves,
    find: (id) => all.findLast(({ letter }) => letter.id === id),
    remove: (ended) => {
      const gone = new Set(ended);
      all = all.filter((grave) => !gone.has(grave));
    },
  };
}

function withoutContent({ target, body, packet, history, ...letter }: DeadLetterDetail): DeadLetter {
  return letter;
}
