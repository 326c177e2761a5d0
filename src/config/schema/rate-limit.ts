import { z } from 'zod';
import type { RateLimit } from '../config.ts';
import { section, wait, whole } from './values.ts';

const table = section(
  { requests: whole(1), per: wait.default(1000), burst: whole(1).optional() },
  'a number of requests per second, or a table such as { requests = 100, per = "1s", burst = 200 }',
);

/** A token bucket; a plain number is requests per second. `burst` is `requests` where it is not given. */
export const rateLimit = z.preprocess((value) => (typeof value === 'number' ? { requests: value } : value), table);

export function rateLimitOf({ requests, per, burst = requests }: z.output<typeof table>): RateLimit {
  return { requests, perMs: per, burst };
}
