import { duration } from '../config/values.ts';
import type { EpochMs } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';

/** `2026-11-22 06:00:00` in local time. */
export function localTime(rfc3339: string): string {
  const at = new Date(rfc3339);
  const two = (part: number): string => String(part).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The age of an instant: `12 s ago`, `37 min ago`, `5 h ago`, `12 d ago`, rounded down. */
export function ageText(rfc3339: string, now: EpochMs): string {
  const seconds = Math.max(0, Math.floor((now - new Date(rfc3339).getTime()) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 2 * 86_400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86_400)} d ago`;
}

/** `37 min`, `5 h` or `12 days`, rounded down. */
export function spanText(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}

const dateAndTime = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)?)?$/;

/**
 * Reads a date and time (local time without a zone) or an age, and returns it in RFC 3339. Throws USAGE.
 */
export function readTime(option: string, text: string, now: EpochMs): string {
  const [, day, time = '00:00', zone = ''] = dateAndTime.exec(text) ?? [];
  const at = day === undefined ? now - (ago(text) ?? Number.NaN) : new Date(`${day}T${time}${zone}`).getTime();
  if (!Number.isNaN(at)) return new Date(at).toISOString();
  const expected = 'a time such as "2026-11-22T06:00:00Z" or "2026-11-22 06:00", or an age such as "2h"';
  throw new ServiceError('USAGE', `--${option}: received ${JSON.stringify(text)}, expected ${expected}`);
}

function ago(text: string): number | undefined {
  const read = duration.safeParse(text);
  return read.success ? read.data : undefined;
}
