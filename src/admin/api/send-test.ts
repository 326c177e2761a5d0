import { ServiceError } from '../../kit/errors.ts';
import type { Operations } from '../operations.ts';
import { audit } from './audit.ts';
import { withoutQuotes } from './content.ts';
import type { ApiDependencies } from './dependencies.ts';
import { outcomeView } from './outcome.ts';
import { defineRoute, type Route } from './route.ts';
import { testQuestion, testShape } from './send-test-shapes.ts';
import { handlersOf, unknownName } from './unknown-name.ts';

/** One request through a handler, to see what comes back. */
export function sendTestRoutes({ operations, events }: ApiDependencies): readonly Route[] {
  const sendTest = defineRoute({
    method: 'POST',
    path: '/send-test',
    summary: 'Sends one request through a handler, marked as a test, and tells what came back.',
    asks: testQuestion,
    answers: testShape,
    handle: async ({ handler }, caller) => {
      const { mayReadContent } = caller;
      const report = await operations.sendTest(handler).catch((thrown: unknown) => {
        throw mayReadContent ? thrown : quotingNothing(thrown, handler);
      });
      if (report === undefined) throw unknownName('handler', handler, testable(operations));
      audit(events, caller, `sent a test through handler ${handler}`);
      const reason = mayReadContent ? report.reason : withoutQuotes(report.reason, false);
      return { ...report, reason, outcome: outcomeView(report.outcome, mayReadContent) };
    },
  });
  return [sendTest];
}

/** Questions are tested through the handler that asks them. */
function testable({ pools }: Pick<Operations, 'pools'>): readonly string[] {
  return handlersOf(pools()).filter((name) => !name.includes(':'));
}

function quotingNothing(thrown: unknown, handler: string): unknown {
  if (!(thrown instanceof ServiceError) || thrown.code !== 'TEST_FAILED') return thrown;
  return new ServiceError('TEST_FAILED', `handler ${handler} made no request; the reason is shown only to callers that may see content`);
}
