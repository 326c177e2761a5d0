import type { Disposition } from '../spool/spool.ts';
import { type Concluded, type Ending, type Offspring, toSettlement } from './attempt.ts';
import { internalError, within } from './boundary.ts';

/** What an attempt comes to where its answer brings something about: all of it is stored in one transaction. */
export interface Sequel extends Offspring {
  readonly disposition: Disposition;
}

/**
 * Asked about every attempt that has ended and was not lost with its thread. Undefined: nothing comes of its answer, as
 * for nearly all. If it throws or rejects, the delivery becomes a dead letter.
 */
export type Follow = (concluded: Concluded) => Promise<Sequel> | undefined;

/** Result of an attempt with the deliveries that its response creates. Never throws, never rejects. */
export function endingOf(concluded: Concluded, follows: readonly Follow[]): Ending | Promise<Ending> {
  const dead = (disposition: Disposition): Ending => toSettlement({ ...concluded, disposition });
  const followed = (): Ending | Promise<Ending> => {
    const sequel = firstResult(concluded, follows);
    if (sequel === undefined) return toSettlement(concluded);
    return sequel
      .then((come) => toSettlement({ ...concluded, ...come }, come))
      .catch((thrown: unknown) => dead(internalError(following, thrown)));
  };
  return within(following, followed, dead);
}

const following = 'following up its response';

function firstResult(concluded: Concluded, follows: readonly Follow[]): Promise<Sequel> | undefined {
  for (const follow of follows) {
    const sequel = follow(concluded);
    if (sequel !== undefined) return sequel;
  }
  return undefined;
}
