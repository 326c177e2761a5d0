import type { Mark } from '../../model/packet.ts';

/** What was agreed at a resume. */
export interface Resumed {
  readonly epoch: string;
  readonly node: string;
  readonly fromSeq: number;
}

/** Items that may be missing before the first received item. */
export type Gap =
  /** Items that the queue lost after the last received one. */
  | { readonly kind: 'dropped'; readonly items: number }
  /** Items that were sent earlier and acknowledged or dropped; the spool has no record of them. */
  | { readonly kind: 'unrecorded'; readonly items: number }
  /** All items of an earlier queue that were not received. */
  | { readonly kind: 'queue-lost' };

/**
 * What one host has sent us and how much of it is on disk. One epoch flows at a time; an epoch is one life of the
 * server's queue, and within it sequence numbers have no holes but those that the queue's bound has torn.
 */
export interface TapLedger {
  /** What to ask for: the last thing on disk. Empty epoch and 0: nothing is known. */
  resumeFrom(): { readonly epoch: string; readonly h: number };
  /** The server's answer. Undefined: nothing is missing before its first item. */
  resumed(answer: Resumed): Gap | undefined;
  /** Is this the epoch that was resumed? Anything else is not from our tap. */
  knows(epoch: string): boolean;
  /** An item came: a duplicate, or its mark and how many items before it are missing. */
  received(seq: number): { readonly kind: 'duplicate' } | { readonly kind: 'new'; readonly mark: Mark; readonly missing: number };
  /** An item is on disk; false when its epoch is over, so that there is nobody to acknowledge it to. */
  committed(mark: Mark): boolean;
  /** What may be acknowledged now. */
  acknowledge(): { readonly epoch: string; readonly h: number };
}

interface Seen {
  readonly epoch: string;
  seq: number;
}

export function createTapLedger(options: {
  readonly attachment: string;
  readonly host: string;
  readonly marks: readonly Mark[];
}): TapLedger {
  const { attachment, host } = options;
  /** By node: the last thing on disk, and the last thing received, which may be ahead of it. */
  const onDisk = new Map(options.marks.map((mark) => [mark.node, mark]));
  const seen = new Map(options.marks.map((mark): [string, Seen] => [mark.node, { epoch: mark.epoch, seq: mark.h }]));
  let node = options.marks.at(-1)?.node ?? '';
  let epoch = '';
  /** Of the node and epoch that flow. */
  let current: Seen = { epoch: '', seq: 0 };

  function resumed(answer: Resumed): Gap | undefined {
    const before = seen.get(answer.node);
    node = answer.node;
    epoch = answer.epoch;
    const sentBefore = answer.fromSeq - 1;
    const known = before?.epoch === epoch ? before.seq : sentBefore;
    current = { epoch, seq: Math.max(known, sentBefore) };
    seen.set(node, current);
    if (before === undefined) return sentBefore > 0 ? { kind: 'unrecorded', items: sentBefore } : undefined;
    if (before.epoch !== epoch) return { kind: 'queue-lost' };
    return sentBefore > known ? { kind: 'dropped', items: sentBefore - known } : undefined;
  }

  function received(seq: number): ReturnType<TapLedger['received']> {
    const missing = seq - current.seq - 1;
    if (missing < 0) return { kind: 'duplicate' };
    current.seq = seq;
    return { kind: 'new', mark: { attachment, host, node, epoch, h: seq }, missing };
  }

  return {
    resumeFrom: () => {
      const mark = onDisk.get(node);
      return { epoch: mark?.epoch ?? '', h: mark?.h ?? 0 };
    },
    resumed,
    knows: (other) => epoch !== '' && other === epoch,
    received,
    committed: (mark) => {
      onDisk.set(mark.node, mark);
      return mark.node === node && mark.epoch === epoch;
    },
    acknowledge: () => {
      const mark = onDisk.get(node);
      return { epoch, h: mark?.epoch === epoch ? mark.h : 0 };
    },
  };
}
