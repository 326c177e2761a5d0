import { randomBytes } from 'node:crypto';
import type { Clock } from './clock.ts';

const countersPerMs = 0x1000;

/**
 * Names things: UUIDs of version 7 (RFC 9562 §5.7), each larger than the one before, also when the wall clock goes back.
 * The 12 bits behind the time count within a millisecond; the last 62 are this process's own, drawn once, so that an id
 * costs no random bytes.
 */
export function createIdSource(clock: Pick<Clock, 'now'>): () => string {
  const tail = processTail();
  let ms = 0;
  let counter = 0;
  let head = '';

  function next(now: number): void {
    counter += 1;
    if (now <= ms && counter < countersPerMs) return;
    ms = Math.max(now, ms + 1);
    counter = 0;
    const hex = ms.toString(16).padStart(12, '0');
    head = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
  }

  return () => {
    next(clock.now());
    return `${head}${counter.toString(16).padStart(3, '0')}-${tail}`;
  };
}

/** The variant's two bits and 62 of chance. */
function processTail(): string {
  const bytes = randomBytes(8);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 4)}-${hex.slice(4)}`;
}
