import type { z } from 'zod';
import type { outcomeShape } from '../admin/api/content.ts';

/** What an attempt met, in words. */
export function outcomeText(outcome: z.output<typeof outcomeShape>): string {
  const took = `${Math.round(outcome.durationMs)} ms`;
  switch (outcome.kind) {
    case 'answered':
      return `answered ${outcome.status} in ${took}`;
    case 'refused':
      return `refused: ${outcome.message}`;
    case 'sent':
      return `sent in ${took}`;
    case 'timed-out':
      return `no answer in time (${outcome.phase}) after ${took}`;
    case 'unreachable':
      return `not reached (${outcome.code}) after ${took}: ${outcome.message}`;
    case 'broken':
      return `connection broke (${outcome.code}) after ${took}: ${outcome.message}`;
    case 'unsent':
      return `not sent (${outcome.code}): ${outcome.message}`;
    default:
      return outcome satisfies never;
  }
}
