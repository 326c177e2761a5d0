import type { EpochMs } from '../kit/clock.ts';

/**
 * How long a `Retry-After` header asks to wait, ms from `now`: seconds (fractions too, as some senders write; rounded up to whole ms) or an
 * HTTP-date. Undefined for what is neither; a date in the past asks for nothing (0). RFC 9110 §10.2.3.
 */
export function retryAfterMs(header: string | undefined, now: EpochMs): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  const date = httpDate(text);
  return date === undefined ? undefined : Math.max(0, date - now);
}

/** RFC 9110 §5.6.7: IMF-fixdate, and the two obsolete forms. `Date.parse` alone would also take "1" or "2020". */
function httpDate(text: string): EpochMs | undefined {
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return undefined;
  const withZone = /GMT$/.test(text) ? text : `${text} GMT`;
  const date = Date.parse(withZone);
  return Number.isNaN(date) ? undefined : date;
}
