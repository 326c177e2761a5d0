import type { Clock } from '../../kit/clock.ts';
import type { Claimed } from '../../model/delivery.ts';
import type { EventBus } from '../../telemetry/events.ts';
import type { Settlement, Spool } from '../spool.ts';
import { type DroppedEvent, droppedLine, lineOf } from './record.ts';

interface RecorderOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly events: Pick<EventBus, 'on'>;
  readonly bodies: boolean;
}

/** Makes the records of settlements in the service thread. The spool takes them with the commands of its next batch. */
export class HistoryRecorder {
  readonly #options: RecorderOptions;
  /** Reasons of withheld pushes whose settlement has not begun yet, by the id of their question. */
  readonly #withheld = new Map<string, string>();
  #text = '';

  constructor(options: RecorderOptions) {
    this.#options = options;
    options.events.on('push.withheld', ({ id, why }) => void this.#withheld.set(id, why));
  }

  /** The spool, each settlement of which is recorded. */
  recording(spool: Spool): Spool {
    const settle: Spool['settle'] = (settlement, completion) => {
      if (settlement.delivery !== undefined) this.#add(settlement.delivery, settlement);
      spool.settle(settlement, completion);
    };
    return { ...spool, settle };
  }

  #add(delivery: Claimed, settlement: Settlement): void {
    const { clock, bodies } = this.#options;
    const withheld = this.#withheld.size === 0 ? undefined : this.#withheld.get(delivery.id);
    if (withheld !== undefined) this.#withheld.delete(delivery.id);
    this.#text += lineOf(delivery, settlement, { now: clock.now(), bodies, withheld });
  }

  readonly dropped = (events: readonly DroppedEvent[]): void => {
    const now = this.#options.clock.now();
    for (const event of events) this.#text += droppedLine(event, now);
  };

  /** The records since the last call. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}
