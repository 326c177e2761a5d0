import type { Callbacks } from '../../pools/callbacks.ts';
import { unwatched } from '../../src/hooks/call.ts';
import { Evaluator } from '../../src/hooks/evaluate.ts';
import { Intake } from '../../src/hooks/intake.ts';
import { type Clock, systemClock, systemTimers } from '../../src/kit/clock.ts';
import type { DeliveryId, NewDelivery } from '../../src/model/delivery.ts';
import type { Accept, Packet } from '../../src/model/packet.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import type { Entry } from '../../src/spool/spool.ts';
import type { EventBus } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { makeHandler } from './make-handler.ts';
import { appendTo } from './spool-promises.ts';

export interface IntakeSetting {
  /** Of the one handler; default: the default module. */
  readonly callbacks?: Callbacks | undefined;
  /** A commit waits for this promise. */
  readonly disk?: (() => Promise<void>) | undefined;
  readonly clock?: Clock | undefined;
}

/** The real intake behind a source, with one handler and a spool in memory; it records events and deliveries. */
export interface SourceIntake extends AsyncDisposable {
  readonly events: EventBus;
  readonly intake: Intake;
  readonly accept: Accept;
  readonly packets: readonly Packet[];
  readonly stored: readonly NewDelivery[];
  readonly skipped: readonly string[];
  readonly notices: readonly string[];
  /** Bytes read. */
  read(): number;
}

export async function startSourceIntake({ callbacks, disk, clock = systemClock }: IntakeSetting = {}): Promise<SourceIntake> {
  const events = createEventBus();
  const skipped: string[] = [];
  const notices: string[] = [];
  const packets: Packet[] = [];
  const stored: NewDelivery[] = [];
  let read = 0;
  events.on('packet.skipped', ({ reason }) => skipped.push(reason));
  events.on('notice', ({ text }) => notices.push(text));
  events.on('stream.read', ({ bytes }) => {
    read += bytes;
  });

  const spool = createMemorySpool({ clock, events });
  await spool.start();
  const limits = { timeoutMs: 600_000, blockTimeoutMs: 10_000 }; // a callback of a test may take any time
  const newId = () => `delivery-${stored.length + 1}` as DeliveryId;
  const handlers = [makeHandler({}, callbacks)];
  const evaluator = new Evaluator({ clock, timers: systemTimers, events, limits, watch: unwatched, newId, handlers });
  const append = async (entry: Pick<Entry, 'deadLetters' | 'deliveries' | 'mark'>): Promise<void> => {
    await disk?.();
    await appendTo(spool, { ...entry, claim: [], refused: [], revives: undefined });
    stored.push(...entry.deliveries);
  };
  const intake = new Intake({
    evaluate: (packet) => evaluator.evaluate(packet),
    append: (entry, { done, failed }) => void append(entry).then(done, failed),
    onFailed: (error) => {
      throw error;
    },
    events,
  });

  return {
    events,
    intake,
    accept: (packet, receipt) => {
      if (packet !== undefined) packets.push(packet);
      intake.accept(packet, receipt);
    },
    packets,
    stored,
    skipped,
    notices,
    read: () => read,
    [Symbol.asyncDispose]: () => spool.stop(),
  };
}
