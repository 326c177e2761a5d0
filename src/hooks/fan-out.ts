import type { NewRequest } from '../model/delivery.ts';
import type { FailedPacket } from '../spool/dead-letter.ts';
import type { Eventually } from './eventually.ts';
import type { LoadedHandler } from './handler.ts';
import type { Met } from './meet.ts';

/** What a packet leaves behind, in the order of the handlers. */
export interface Evaluation {
  readonly deliveries: readonly NewRequest[];
  readonly deadLetters: readonly FailedPacket[];
}

/**
 * Lets every handler meet a packet, one after the other: what one leaves in `acc.metadata` the next one finds, also when
 * the first had to wait. A promise is made only from the first handler on that made one.
 */
export function fanOut(handlers: readonly LoadedHandler[], meet: (handler: LoadedHandler) => Eventually<Met>): Eventually<Evaluation> {
  const deliveries: NewRequest[] = [];
  const deadLetters: FailedPacket[] = [];
  const evaluation = { deliveries, deadLetters };

  for (const [index, handler] of handlers.entries()) {
    const met = meet(handler);
    if (met instanceof Promise) return waitFor(met, handlers.slice(index + 1));
    keep(met);
  }
  return evaluation;

  async function waitFor(first: Promise<Met>, rest: readonly LoadedHandler[]): Promise<Evaluation> {
    keep(await first);
    for (const handler of rest) keep(await meet(handler));
    return evaluation;
  }

  function keep(met: Met): void {
    switch (met.kind) {
      case 'failed':
        deadLetters.push(met.letter);
        return;
      case 'unwanted':
        return;
      case 'wanted':
        deliveries.push(met.delivery);
        return;
      default:
        met satisfies never;
    }
  }
}
