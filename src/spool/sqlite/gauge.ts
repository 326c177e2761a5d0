import type { Clock, EpochMs } from '../../kit/clock.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { QueueDepth, SpoolStats } from '../spool.ts';
import { Forecast } from './forecast.ts';
import type { Committed, Depth } from './protocol.ts';
import type { Opened } from './thread.ts';

/** The thread's last word on the spool, kept where it can be read without asking. */
export interface Gauge {
  opened(opened: Opened): void;
  committed(committed: Committed): void;
  paused(pools: readonly string[]): void;
  /** Nothing more will come: the engine is gone. */
  failed(reason: string): void;
  /** Nothing more will come, as was asked: that is no news. */
  stopped(): void;
  stats(): SpoolStats;
}

/** Tells of each commit, and of each change between open and closed intake. */
export function createGauge(events: EventSink, clock: Pick<Clock, 'monotonic'>): Gauge {
  const depths = new Map<string, QueueDepth>();
  let paused: readonly string[] = [];
  let bytes = 0;
  let loss = '';
  let oldest: Readonly<Record<string, EpochMs>> = {};
  let reason = 'the spool is not open yet';
  const forecast = new Forecast();

  function note(changed: readonly Depth[]): void {
    for (const [pool, handler, waiting, dead] of changed) depths.set(`${pool}\n${handler}`, { pool, handler, waiting, dead });
  }

  /** The reason's text may change from beat to beat (so many bytes left): that is no news. */
  function setReason(now: string): void {
    const before = reason;
    reason = now;
    if ((before === '') !== (now === '')) events.emit('spool.writable', { writable: now === '', reason: now });
  }

  return {
    opened: (opened) => {
      note(opened.depths);
      paused = opened.paused;
      bytes = opened.bytes;
      loss = opened.loss;
      if (loss !== '') events.emit('spool.loss', { reason: loss });
      reason = '';
    },
    committed: (committed) => {
      note(committed.depths);
      bytes = committed.bytes;
      oldest = committed.oldest ?? oldest;
      if (committed.roomBytes !== undefined) forecast.note(committed.roomBytes, clock.monotonic());
      setReason(committed.closed);
      const commands = committed.answers.length;
      if (commands > 0) events.emit('spool.committed', { durationMs: committed.durationMs, commands });
    },
    paused: (pools) => {
      paused = pools;
    },
    failed: setReason,
    stopped: () => {
      reason = 'the spool is stopped';
    },
    stats: () => {
      const writable = reason === '';
      return {
        depths: Array.from(depths.values()),
        paused,
        bytes,
        writable,
        reason,
        oldest,
        loss,
        fullInMs: writable ? forecast.fullInMs : 0,
      };
    },
  };
}
