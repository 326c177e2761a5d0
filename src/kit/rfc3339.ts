import type { EpochMs } from './clock.ts';

/**
 * Makes a writer of instants as RFC 3339 in UTC with milliseconds. It keeps the last second it wrote: thousands of
 * packets share one, and a date costs more to write than all else a callback is given.
 */
export function createRfc3339(): (at: EpochMs) => string {
  let second = Number.NaN;
  let upToDot = '';

  return (at) => {
    const asked = Math.floor(at / 1000);
    if (asked !== second) {
      upToDot = new Date(asked * 1000).toISOString().slice(0, -4); // without `000Z`
      second = asked;
    }
    return `${upToDot}${String(Math.floor(at) - asked * 1000).padStart(3, '0')}Z`;
  };
}
