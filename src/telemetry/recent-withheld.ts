import type { Clock, EpochMs } from '../kit/clock.ts';
import type { EventBus, Events } from './events.ts';

/** A push that was withheld, and when. */
export type WithheldPush = Events['push.withheld'] & { readonly at: EpochMs };

/** The last pushes that were withheld: they leave no dead letter, and somebody may ask why they did not come. */
export interface RecentWithheld {
  /** Oldest first. */
  list(): readonly WithheldPush[];
}

const mostKept = 1000;

/** Of each text of a business server, in characters. */
const longestText = 1024;

/** Remembers from the moment it is created. */
export function createRecentWithheld({ events, clock }: { readonly events: EventBus; readonly clock: Pick<Clock, 'now'> }): RecentWithheld {
  let kept: WithheldPush[] = [];

  events.on('push.withheld', (push) => {
    kept.push({ ...push, errMsg: cut(push.errMsg), errDlt: cut(push.errDlt), at: clock.now() });
    if (kept.length >= 2 * mostKept) kept = kept.slice(-mostKept);
  });

  return { list: () => kept.slice(-mostKept) };
}

/** As bytes of its own: a slice would keep all of the answer. */
function cut(text: string): string {
  return text.length <= longestText ? text : `${Buffer.from(text.slice(0, longestText)).toString()}…`;
}
