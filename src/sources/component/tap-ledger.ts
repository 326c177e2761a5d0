import type { Mark } from '../../model/packet.ts';

/** The tap's answer to a resume. */
export interface Resumed {
  readonly epoch: string;
  readonly node: string;
  readonly fromSeq: number;
  /** The last item that was acknowledged since the tap was loaded; 0 for an older tap. */
  readonly taken?: number;
}

/** Items that may be missing before the first received item. */
type Gap =
  /** Items that the queue lost after the last received one. */
  | { readonly kind: 'dropped'; readonly items: number }
  /** Items that were sent earlier, to another pusher or another spool, and acknowledged or dropped. */
  | { readonly kind: 'unrecorded'; readonly items: number }
  /** All items of an earlier queue that were not received. */
  | { readonly kind: 'queue-lost' };

/** An epoch and the last sequence number in it. Empty epoch and 0: nothing is known. */
export interface Position {
  readonly epoch: string;
  readonly h: number;
}

interface TapLedgerOptions {
  readonly attachment: string;
  readonly host: string;
  /** Of this attachment and host. */
  readonly marks: readonly Mark[];
}

/**
 * The items of one host that were received, and those that are on disk. One epoch flows at a time; an epoch is one life of
 * the server's queue, and its sequence numbers have no holes except those of items that the full queue dropped.
 */
export class TapLedger {
  readonly #attachment: string;
  readonly #host: string;
  /** By node: the last item on disk. */
  readonly #onDisk: Map<string, Mark>;
  /** By node: the last item received, which may be ahead of the disk. */
  readonly #received: Map<string, { readonly epoch: string; seq: number }>;
  /** The node and epoch that flow, and the last item received from them. */
  #node: string;
  #current = { epoch: '', seq: 0 };

  constructor({ attachment, host, marks }: TapLedgerOptions) {
    this.#attachment = attachment;
    this.#host = host;
    this.#onDisk = new Map(marks.map((mark) => [mark.node, mark]));
    this.#received = new Map(marks.map(({ node, epoch, h }) => [node, { epoch, seq: h }]));
    this.#node = marks.at(-1)?.node ?? '';
  }

  /** The position to resume from: the last item on disk. */
  resumeFrom(): Position {
    const mark = this.#onDisk.get(this.#node);
    return { epoch: mark?.epoch ?? '', h: mark?.h ?? 0 };
  }

  /** Records the tap's answer, and returns what is missing before its first item. */
  resumed({ node, epoch, fromSeq, taken = 0 }: Resumed): readonly Gap[] {
    const before = this.#received.get(node);
    const sentBefore = fromSeq - 1;
    const known = before?.epoch === epoch ? before.seq : sentBefore;
    this.#node = node;
    this.#current = { epoch, seq: Math.max(known, sentBefore) };
    this.#received.set(node, this.#current);
    if (before === undefined) return gapsOf({ unrecorded: sentBefore, dropped: 0 });
    if (before.epoch !== epoch) return [{ kind: 'queue-lost' }];
    const takenByOthers = Math.max(known, Math.min(taken, sentBefore));
    return gapsOf({ unrecorded: takenByOthers - known, dropped: sentBefore - takenByOthers });
  }

  /** Whether this epoch was resumed; an item of any other epoch does not come from the tap. */
  knows(epoch: string): boolean {
    return epoch !== '' && epoch === this.#current.epoch;
  }

  /** Number of items missing between the last one and this; negative if this one is a duplicate. */
  missingBefore(seq: number): number {
    return seq - this.#current.seq - 1;
  }

  /** Records a new item and returns its mark. */
  received(seq: number): Mark {
    this.#current.seq = seq;
    return { attachment: this.#attachment, host: this.#host, node: this.#node, epoch: this.#current.epoch, h: seq };
  }

  /** Records that an item is on disk; false if its epoch is over and it can no longer be acknowledged. */
  committed(mark: Mark): boolean {
    this.#onDisk.set(mark.node, mark);
    return mark.node === this.#node && mark.epoch === this.#current.epoch;
  }

  /** The position that may be acknowledged. */
  acknowledge(): Position {
    const { epoch } = this.#current;
    const mark = this.#onDisk.get(this.#node);
    return { epoch, h: mark?.epoch === epoch ? mark.h : 0 };
  }
}

function gapsOf(items: Readonly<Record<'dropped' | 'unrecorded', number>>): readonly Gap[] {
  const kinds = ['unrecorded', 'dropped'] as const;
  return kinds.filter((kind) => items[kind] > 0).map((kind) => ({ kind, items: items[kind] }));
}
