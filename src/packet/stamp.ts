import type { EpochMs } from '../kit/clock.ts';

/** Reads a date and time as XEP-0082 §3.2 writes them; undefined for anything else, such as the 30th of February. */
export function readStamp(stamp: string): EpochMs | undefined {
  const date = SHAPE.exec(stamp)?.[1];
  if (date === undefined) return undefined;
  const at = Date.parse(stamp);
  return Number.isNaN(at) || !isDay(date) ? undefined : at;
}

const SHAPE = /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** `Date.parse` takes up to 31 days in any month, and lets the rest run over into the next. */
function isDay(date: string): boolean {
  const midnight = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(date);
}
