import { ServiceError } from '../../kit/errors.ts';
import { nearest } from '../../kit/nearest.ts';
import type { PoolView } from '../operations.ts';
import { audit } from './audit.ts';
import { withoutQuotes } from './content.ts';
import type { ApiDependencies } from './dependencies.ts';
import { outcomeView } from './outcome.ts';
import { defineRoute, type Route } from './route.ts';
import { testQuestion, testShape } from './send-test-shapes.ts';

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
      if (report === undefined) throw unknownHandler(handler, operations.pools());
      audit(events, caller, `sent a test through handler ${handler}`);
      const reason = mayReadContent ? report.reason : withoutQuotes(report.reason, false);
      return { ...report, reason, outcome: outcomeView(report.outcome, mayReadContent) };
    },
  });
  return [sendTest];
}

function unknownHandler(handler: string, pools: readonly PoolView[]): ServiceError {
  const known = [...new Set(pools.flatMap(({ handlers }) => handlers.map(({ name }) => name)))].filter((name) => !name.includes(':'));
  const near = nearest(handler, known);
  const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
  const names = known.length === 0 ? 'none' : known.join(', ');
  return new ServiceError('UNKNOWN_HANDLER', `there is no handler ${JSON.stringify(handler)}; there are: ${names}${hint}`);
}

function quotingNothing(thrown: unknown, handler: string): unknown {
  if (!(thrown instanceof ServiceError) || thrown.code !== 'TEST_FAILED') return thrown;
  return new ServiceError('TEST_FAILED', `handler ${handler} made no request: why is shown to callers that may see content`);
}
