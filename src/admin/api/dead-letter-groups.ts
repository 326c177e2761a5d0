import type { z } from 'zod';
import type { DeadLetter } from '../../spool/spool.ts';
import { shownDetail } from './content.ts';
import { groupsShape } from './dead-letter-shapes.ts';
import { type ApiDependencies, defineRoute, type Route } from './route.ts';
import { noParameters, rfc3339 } from './values.ts';

type Group = z.input<typeof groupsShape>['groups'][number];

/** Dead letters from which the groups are made: an operator's look must not delay deliveries. */
const mostSeen = 5000;

const mostGroups = 200;

/** Dead letters by queue and error: a night's outage is one line. */
export function groupsRoute({ spool, status }: ApiDependencies): Route {
  return defineRoute({
    method: 'GET',
    path: '/dead-letters/groups',
    summary: 'Groups the newest dead letters by pool, handler, reason and detail.',
    parameters: noParameters,
    response: groupsShape,
    handle: async (_, { mayReadContent }) => {
      const [letters, total] = await status.cached('dead letters', () =>
        Promise.all([spool.deadLetters({}, { limit: mostSeen, newest: true }), spool.countDead({})]),
      );
      const groups = grouped(letters, mayReadContent).toSorted((one, other) => other.count - one.count);
      return { total: Math.max(total, letters.length), seen: letters.length, groups: groups.slice(0, mostGroups) };
    },
  });
}

function grouped(letters: readonly DeadLetter[], mayQuote: boolean): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const letter of letters) {
    const group = groupOf(letter, mayQuote);
    const key = JSON.stringify(group.filter) + group.detail;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, group);
    else Object.assign(known, { count: known.count + 1, newestAt: group.newestAt }); // the newest is last
  }
  return [...groups.values()];
}

function groupOf(letter: DeadLetter, mayQuote: boolean): Group {
  const { pool, handler, reason, detail, diedAt } = letter;
  const shown = shownDetail(letter, mayQuote);
  const at = rfc3339(diedAt);
  const filter = { pool, handler, reason, ...(shown === detail && { detail }) };
  return { pool, handler, reason, detail: shown, count: 1, oldestAt: at, newestAt: at, filter };
}
