import type { Fate } from '../spool/spool.ts';
import { type Concluded, type Ending, type Offspring, toSettlement } from './attempt.ts';

/** What an attempt comes to where its answer brings something about: all of it is stored in one transaction. */
export interface Sequel extends Offspring {
  readonly fate: Fate;
}

/**
 * Asked about every attempt that has ended and was not lost with its thread. Undefined: nothing comes of its answer, as
 * for nearly all. It must not reject: what goes wrong is a fate, too.
 */
export type Follow = (concluded: Concluded) => Promise<Sequel> | undefined;

/** What an attempt comes to with all that comes of its answer. */
export function endingOf(concluded: Concluded, follow: Follow): Ending | Promise<Ending> {
  const sequel = follow(concluded);
  return sequel === undefined ? toSettlement(concluded) : sequel.then((come) => toSettlement({ ...concluded, ...come }, come));
}

/** Asks one after the other: what the first of them says counts. */
export function firstToFollow(follows: readonly Follow[]): Follow {
  return (concluded) => {
    for (const follow of follows) {
      const sequel = follow(concluded);
      if (sequel !== undefined) return sequel;
    }
    return undefined;
  };
}
