import { z } from 'zod';
import { section, text } from '../../config/values.ts';
import { ServiceError } from '../../kit/errors.ts';
import { outcomeShape, outcomeView, withoutQuotes } from './content.ts';
import { handlersOf, unknownName } from './pools.ts';
import { type ApiDependencies, audit, defineRoute, type Route } from './route.ts';

export const testShape = z.object({
  id: z.string(),
  method: z.string(),
  url: z.string(),
  outcome: outcomeShape,
  accepted: z.boolean(),
  reason: z.string().describe('Why the request was not accepted, from the callbacks of the handler if it has any; empty if it was.'),
});

export function sendTestRoutes({ operations, events }: ApiDependencies): readonly Route[] {
  const sendTest = defineRoute({
    method: 'POST',
    path: '/send-test',
    summary: 'Sends one request of a handler, marked as a test, and reports its outcome.',
    parameters: section({ handler: text }),
    response: testShape,
    handle: async ({ handler }, caller) => {
      const { mayReadContent } = caller;
      const report = await operations.sendTest(handler).catch((thrown: unknown) => {
        throw mayReadContent ? thrown : withoutReason(thrown, handler);
      });
      // Asks are tested through the handler that makes them.
      if (report === undefined)
        throw unknownName(
          'handler',
          handler,
          handlersOf(operations.pools()).filter((name) => !name.includes(':')),
        );
      audit(events, caller, `sent a test through handler ${handler}`);
      const reason = mayReadContent ? report.reason : withoutQuotes(report.reason, false);
      return { ...report, reason, outcome: outcomeView(report.outcome, mayReadContent) };
    },
  });
  return [sendTest];
}

function withoutReason(thrown: unknown, handler: string): unknown {
  if (!(thrown instanceof ServiceError) || thrown.code !== 'TEST_FAILED') return thrown;
  return new ServiceError('TEST_FAILED', `handler ${handler} made no request; the reason is shown only to callers that may see content`);
}
