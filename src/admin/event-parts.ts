import { randomUUID } from 'node:crypto';
import type { Clock } from '../kit/clock.ts';
import { Erasure, liveRewriteBytes } from '../spool/erasure.ts';
import { EventStore } from '../spool/event-store.ts';
import { History } from '../spool/history/history.ts';
import type { HistoryRecorder } from '../spool/history/recorder.ts';
import type { Spool } from '../spool/spool.ts';
import type { EventBus } from '../telemetry/events.ts';
import type { RecentWithheld } from '../telemetry/recent.ts';
import type { ApiDependencies } from './api/route.ts';
import { EventActions } from './event-actions.ts';
import { EventLookup } from './event-lookup.ts';
import type { Operations } from './operations.ts';
import { Tail } from './tail.ts';

interface EventOptions {
  readonly spool: Spool;
  /** Where the history is, also one that is no longer written. */
  readonly place: ConstructorParameters<typeof History>[0];
  readonly operations: Pick<Operations, 'replay'>;
  readonly withheld: RecentWithheld;
  /** Undefined: settled events are not recorded. */
  readonly history: History | undefined;
  readonly recorder: HistoryRecorder | undefined;
  readonly clock: Clock;
  readonly events: EventBus;
  /** Starts delivery of the ready deliveries of these pools. */
  wake(pools: readonly string[]): void;
}

/** The parts of the API that find, follow, change and erase events. */
export function openEventParts(options: EventOptions): Pick<ApiDependencies, 'actions' | 'erasure' | 'lookup' | 'tail'> {
  const { place, operations, withheld, history, recorder, clock } = options;
  const shared = { ...options, store: new EventStore(options.spool) };
  const lookup = new EventLookup(shared);
  const recorded = history ?? new History(place, { clock }); // for erasures: it may have been enabled before
  const tail = new Tail({ ...options, newId: randomUUID });
  const forget = (jid: string) => {
    tail.forget(jid);
    return withheld.erase(jid);
  };
  return {
    lookup,
    actions: new EventActions({
      ...shared,
      lookup,
      replay: (filter, limit) => operations.replay(filter, limit),
      record: recorder?.dropped,
    }),
    erasure: new Erasure({ ...shared, history: recorded, forget, rewriteBytes: liveRewriteBytes }),
    tail,
  };
}
