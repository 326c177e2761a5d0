/** One thing that is wrong, or that an operator should know. */
import type { EpochMs } from '../../kit/clock.ts';

/** `critical`: events are not delivered, or are lost. `warning`: they will be unless it changes. `notice`: to know, nothing to do. */
export type Level = 'critical' | 'notice' | 'warning';

/** What a line is about; absent fields do not apply. */
export interface Subject {
  readonly kind: 'attachment' | 'handler' | 'pool' | 'service' | 'spool';
  readonly pool?: string;
  readonly handler?: string;
  readonly attachment?: string;
}

/** What an operator can do about it at once. */
export type Action = 'dead-letters' | 'probe' | 'resume' | 'send-test';

export interface Finding {
  readonly level: Level;
  readonly subject: Subject;
  /** `http_pool: breaker open` */
  readonly what: string;
  /** When it began; null if unknown. */
  readonly since: EpochMs | null;
  /** The last error, verbatim. */
  readonly error: { readonly text: string; readonly at: EpochMs } | null;
  readonly waiting: number;
  readonly oldestAt: EpochMs | null;
  /** Time until events are given up or lost, and the way; null if that is not in sight. */
  readonly loss: Loss | null;
  /** What happens next without an operator; empty if nothing does. */
  readonly next: string;
  readonly action: Action | null;
}

export interface Loss {
  readonly inMs: number;
  /** `disk lasts 9 h` */
  readonly text: string;
}

/** A finding without the parts that do not apply. */
export const nothingMore = {
  since: null,
  error: null,
  waiting: 0,
  oldestAt: null,
  loss: null,
  next: '',
  action: null,
} as const satisfies Partial<Finding>;
