import { deadLetterRoutes } from './dead-letters.ts';
import type { ApiDependencies } from './dependencies.ts';
import { orphanRoutes } from './orphans.ts';
import { poolRoutes } from './pools.ts';
import type { Route } from './route.ts';
import { sendTestRoutes } from './send-test.ts';
import { withheldRoutes } from './withheld.ts';

/** Everything that an operator may ask of a running service, and all that the admin listener may change. */
export function apiRoutes(dependencies: ApiDependencies): readonly Route[] {
  return [poolRoutes, deadLetterRoutes, orphanRoutes, sendTestRoutes, withheldRoutes].flatMap((routesOf) => routesOf(dependencies));
}
