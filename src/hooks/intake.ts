/**
 * From a source to the disk. Packets of one stream are evaluated concurrently, but appended and acknowledged in their order;
 * streams do not wait for each other.
 *
 * A packet of a stream is *evaluating*, then *evaluated*, then *appending*, then *durable*, and is acknowledged once all packets
 * before it are. A stream whose append failed is *broken* for good: it appends and acknowledges nothing more and drops later
 * packets, so the chat server keeps them.
 */

import type { Completion } from '../kit/completion.ts';
import { toError } from '../kit/errors.ts';
import { createDeferred, type Deferred } from '../kit/lifecycle.ts';
import type { NewDelivery } from '../model/delivery.ts';
import type { Accept, Packet, Receipt } from '../model/packet.ts';
import type { Entry } from '../spool/spool.ts';
import { type EventSink, subjectOf } from '../telemetry/events.ts';
import type { Evaluation, Evaluator } from './evaluate.ts';

interface IntakeOptions {
  readonly evaluate: Evaluator['evaluate'];
  /** Done when the entry is durable; entries must be committed in the order of the calls. */
  append(entry: Pick<Entry, 'deadLetters' | 'deliveries' | 'mark'>, completion: Completion<void>): void;
  /** Called once, with the first error that breaks a stream. */
  onFailed(error: Error): void;
  readonly events: EventSink;
}

/** One packet on its way to the disk; a link of its stream. */
interface Passage {
  readonly receipt: Receipt;
  evaluation: Evaluation | undefined;
  durable: boolean;
  next: Passage | undefined;
}

interface Stream {
  /** The oldest one not yet acknowledged. */
  oldest: Passage | undefined;
  /** The first one not yet appended. */
  unappended: Passage | undefined;
  newest: Passage | undefined;
  broken: boolean;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #streams = new Map<string, Stream>();
  #uncommitted = 0;
  #failed = false;
  #idle: Deferred<void> | undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Packets (and marks without a packet) that are not on disk yet, without those of broken streams. */
  get uncommitted(): number {
    return this.#uncommitted;
  }

  /** Resolves when no packet is uncommitted. */
  idle(): Promise<void> {
    if (this.#uncommitted === 0) return Promise.resolve();
    this.#idle ??= createDeferred<void>();
    return this.#idle.promise;
  }

  /** Bound: sources get it as a function. */
  readonly accept: Accept = (packet, receipt) => {
    if (packet !== undefined) this.#reportSeen(packet);
    const stream = this.#streamOf(receipt.stream);
    if (stream.broken) return;
    const passage = this.#enter(stream, receipt);

    try {
      const evaluation = packet === undefined ? nothing : this.#options.evaluate(packet);
      if (!(evaluation instanceof Promise)) this.#evaluated(stream, passage, evaluation);
      else {
        evaluation.then((late) => this.#evaluated(stream, passage, late)).catch((thrown: unknown) => this.#breakStream(stream, thrown));
      }
    } catch (thrown) {
      this.#breakStream(stream, thrown);
    }
  };

  #reportSeen({ origin: attachment, host, direction, event }: Packet): void {
    this.#options.events.emit('packet.seen', { attachment, host, direction, event });
  }

  #streamOf(name: string): Stream {
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    const stream: Stream = { oldest: undefined, unappended: undefined, newest: undefined, broken: false };
    this.#streams.set(name, stream);
    return stream;
  }

  #enter(stream: Stream, receipt: Receipt): Passage {
    const passage: Passage = { receipt, evaluation: undefined, durable: false, next: undefined };
    if (stream.newest !== undefined) stream.newest.next = passage;
    stream.newest = passage;
    stream.oldest ??= passage;
    stream.unappended ??= passage;
    this.#uncommitted += 1;
    return passage;
  }

  /** Appends the packet and all evaluated ones behind it, unless an older packet is still under evaluation. */
  #evaluated(stream: Stream, passage: Passage, evaluation: Evaluation): void {
    passage.evaluation = evaluation;
    for (let first = stream.unappended; first?.evaluation !== undefined && !stream.broken; first = stream.unappended) {
      stream.unappended = first.next;
      this.#append(stream, first, first.evaluation);
    }
  }

  #append(stream: Stream, passage: Passage, { deliveries, deadLetters }: Evaluation): void {
    const { mark } = passage.receipt;
    const isEmpty = deliveries.length === 0 && deadLetters.length === 0 && mark === undefined;
    const done = (): void => this.#durable(stream, passage, deliveries);
    if (isEmpty) done();
    else this.#options.append({ deliveries, deadLetters, mark }, { done, failed: (error) => this.#breakStream(stream, error) });
  }

  #durable(stream: Stream, passage: Passage, deliveries: readonly NewDelivery[]): void {
    for (const delivery of deliveries) this.#options.events.emit('delivery.accepted', subjectOf(delivery));
    passage.durable = true;

    for (let oldest = stream.oldest; oldest?.durable === true && !stream.broken; oldest = stream.oldest) {
      this.#leave(stream, oldest);
      oldest.receipt.committed();
    }
  }

  #leave(stream: Stream, passage: Passage): void {
    stream.oldest = passage.next;
    passage.next = undefined; // a passage in the old generation would keep all later ones until a full collection
    if (stream.oldest === undefined) {
      stream.newest = undefined;
      if (!stream.broken) this.#streams.delete(passage.receipt.stream); // there may be as many names as users
    }
    this.#uncommitted -= 1;
    if (this.#uncommitted > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  #breakStream(stream: Stream, thrown: unknown): void {
    stream.broken = true;
    stream.unappended = undefined;
    while (stream.oldest !== undefined) this.#leave(stream, stream.oldest);
    if (this.#failed) return;
    this.#failed = true;
    this.#options.onFailed(toError(thrown));
  }
}

const nothing: Evaluation = { deliveries: [], deadLetters: [] };
