import { randomBytes } from 'node:crypto';
import type { Clock } from './clock.ts';

const countersPerMs = 0x1000;

/**
 * Creates a source of UUIDs of version 7 (RFC 9562 §5.7). Each is larger than the previous one, even if the wall clock goes back.
 * The 12 bits after the time count within a millisecond. The last 62 bits are drawn once per process, so that an id consumes no
 * random bytes.
 */
export function createIdSource(clock: Pick<Clock, 'now'>): () => string {
  const tail = processTail();
  let ms = 0;
  let counter = 0;
  let head = '';

  function advance(now: number): void {
    counter += 1;
    if (now <= ms && counter < countersPerMs) return;
    ms = Math.max(now, ms + 1);
    counter = 0;
    const hex = ms.toString(16).padStart(12, '0');
    head = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
  }

  return () => {
    advance(clock.now());
    return `${head}${counter.toString(16).padStart(3, '0')}-${tail}`;
  };
}

/** The two variant bits and 62 random bits. */
function processTail(): string {
  const bytes = randomBytes(8);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 4)}-${hex.slice(4)}`;
}
