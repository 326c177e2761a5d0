/**
 * From a source's hands to the disk. Packets of one stream are evaluated side by side, but appended, and acknowledged,
 * in the order in which they were handed over; streams do not wait for each other.
 *
 * A packet of a stream is *evaluating*, then *ready* (what it leaves behind is known), then *appending*, then *durable*,
 * and is acknowledged as soon as all before it are. A stream whose append failed is *broken* for good: it appends and
 * acknowledges nothing more, and what is handed over for it is let go, so that the chat server keeps it.
 */

import { toError } from '../kit/errors.ts';
import { createDeferred, type Deferred } from '../kit/lifecycle.ts';
import type { NewDelivery } from '../model/delivery.ts';
import type { Accept, Packet, Receipt } from '../model/packet.ts';
import type { Entry } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Evaluator } from './evaluate.ts';
import type { Evaluation } from './fan-out.ts';

export interface IntakeOptions {
  readonly evaluate: Evaluator['evaluate'];
  /** Resolves when they are durable; they must be committed in the order of the calls. */
  append(leavings: Pick<Entry, 'deadLetters' | 'deliveries' | 'mark'>): Promise<void>;
  /** Called once, with the first error after which a stream takes in nothing more. */
  onFailed(error: Error): void;
  readonly events: EventSink;
}

export interface Intake {
  readonly accept: Accept;
  /** Packets (and lone marks) handed over and not yet on disk, those of broken streams left out. */
  readonly uncommitted: number;
  /** Resolves when there are none. */
  idle(): Promise<void>;
}

/** One packet's way through; a link in its stream. */
interface Passage {
  readonly receipt: Receipt;
  evaluation: Evaluation | undefined;
  durable: boolean;
  next: Passage | undefined;
}

interface Stream {
  /** The oldest not yet acknowledged. */
  oldest: Passage | undefined;
  /** The first not yet appended. */
  unappended: Passage | undefined;
  newest: Passage | undefined;
  broken: boolean;
}

const nothing: Evaluation = { deliveries: [], deadLetters: [] };

export function createIntake({ evaluate, append, onFailed, events }: IntakeOptions): Intake {
  const streams = new Map<string, Stream>();
  let uncommitted = 0;
  let failed = false;
  let idle: Deferred<void> | undefined;

  return {
    accept,
    get uncommitted() {
      return uncommitted;
    },
    idle: () => {
      if (uncommitted === 0) return Promise.resolve();
      idle ??= createDeferred<void>();
      return idle.promise;
    },
  };

  function accept(packet: Packet | undefined, receipt: Receipt): void {
    if (packet !== undefined) {
      const { origin: attachment, host, direction, event } = packet;
      events.emit('packet.seen', { attachment, host, direction, event });
    }

    const stream = streamOf(receipt.stream);
    if (stream.broken) return;
    const passage = enter(stream, receipt);

    try {
      const evaluation = packet === undefined ? nothing : evaluate(packet);
      if (!(evaluation instanceof Promise)) ready(stream, passage, evaluation);
      else evaluation.then((late) => ready(stream, passage, late)).catch((thrown: unknown) => breakOff(stream, thrown));
    } catch (thrown) {
      breakOff(stream, thrown);
    }
  }

  function streamOf(name: string): Stream {
    const known = streams.get(name);
    if (known !== undefined) return known;
    const stream: Stream = { oldest: undefined, unappended: undefined, newest: undefined, broken: false };
    streams.set(name, stream);
    return stream;
  }

  function enter(stream: Stream, receipt: Receipt): Passage {
    const passage: Passage = { receipt, evaluation: undefined, durable: false, next: undefined };
    if (stream.newest !== undefined) stream.newest.next = passage;
    stream.newest = passage;
    stream.oldest ??= passage;
    stream.unappended ??= passage;
    uncommitted += 1;
    return passage;
  }

  function ready(stream: Stream, passage: Passage, evaluation: Evaluation): void {
    passage.evaluation = evaluation;

    // Appends this one and those behind it that were ready before, or nothing while an older one is not.
    for (let first = stream.unappended; first?.evaluation !== undefined && !stream.broken; first = stream.unappended) {
      stream.unappended = first.next;
      write(stream, first, first.evaluation);
    }
  }

  function write(stream: Stream, passage: Passage, { deliveries, deadLetters }: Evaluation): void {
    const { mark } = passage.receipt;
    const leavesNothing = deliveries.length === 0 && deadLetters.length === 0 && mark === undefined;

    (leavesNothing ? Promise.resolve() : append({ deliveries, deadLetters, mark })).then(
      () => durable(stream, passage, deliveries),
      (thrown: unknown) => breakOff(stream, thrown),
    );
  }

  function durable(stream: Stream, passage: Passage, deliveries: readonly NewDelivery[]): void {
    for (const { pool, handler, host } of deliveries) events.emit('delivery.accepted', { pool, handler, host });
    passage.durable = true;

    for (let oldest = stream.oldest; oldest?.durable === true && !stream.broken; oldest = stream.oldest) {
      leave(stream, oldest);
      oldest.receipt.committed();
    }
  }

  function leave(stream: Stream, passage: Passage): void {
    stream.oldest = passage.next;
    if (stream.oldest === undefined) {
      stream.newest = undefined;
      if (!stream.broken) streams.delete(passage.receipt.stream); // there may be as many names as there are users
    }
    uncommitted -= 1;
    if (uncommitted > 0) return;
    idle?.resolve();
    idle = undefined;
  }

  function breakOff(stream: Stream, thrown: unknown): void {
    stream.broken = true;
    stream.unappended = undefined;
    while (stream.oldest !== undefined) leave(stream, stream.oldest);
    if (failed) return;
    failed = true;
    onFailed(toError(thrown));
  }
}
