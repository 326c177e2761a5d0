import type { z } from 'zod';
import type { outcomeShape } from '../admin/api/content.ts';
import { testShape } from '../admin/api/send-test.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { facts, output } from './terminal.ts';

export const sendTestCommand: Command = {
  name: 'send-test',
  synopsis: 'HANDLER [SERVICE]',
  description: 'sends one request through a handler, marked as a test, and prints the answer',
  operands: { least: 1, most: 1 },
  options: serviceOptions,
  run: sendTest,
};

/** Exit code 1 if the backend did not accept the request. */
async function sendTest({ values, operands: [handler = ''] }: Call): Promise<number> {
  const service = await findService(values);
  const report = await service.post('/send-test', testShape, { handler });
  const { id, method, url, outcome, accepted, reason } = report;
  const excerpt = outcome.kind === 'answered' && outcome.excerpt !== '' ? [['answer', outcome.excerpt] as const] : [];
  const text = facts([
    ['request', `${method} ${url}`],
    ['id', id],
    ['outcome', outcomeText(outcome)],
    ...excerpt,
    ['accepted', accepted ? 'yes' : `no: ${reason}`],
  ]);
  output(values.json, report, text);
  return accepted ? 0 : 1;
}

/** The outcome of an attempt in words. */
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
