import type { z } from 'zod';
import { ServiceError } from '../../kit/errors.ts';
import type { DeliveryId } from '../../model/delivery.ts';
import type { DeadFilter } from '../../spool/dead-letter.ts';
import type { Descendant } from '../../spool/spool.ts';
import { audit } from './audit.ts';
import { refuseContentTo } from './content.ts';
import {
  letterList,
  letterQuestion,
  letterShape,
  listQuestion,
  purgedShape,
  purgeQuestion,
  replayedShape,
  replayQuestion,
} from './dead-letter-shapes.ts';
import { detailView, letterView } from './dead-letter-views.ts';
import type { ApiDependencies } from './dependencies.ts';
import { defineRoute, type Route } from './route.ts';
import { refuseUnknownNames } from './unknown-name.ts';
import { rfc3339 } from './values.ts';

/** Deliveries given up: listed, shown, replayed, purged. */
export function deadLetterRoutes({ spool, operations, events, clock, redactor }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/dead-letters',
    summary: 'Lists dead letters, the newest at the end.',
    asks: listQuestion,
    answers: letterList,
    handle: async ({ id, limit, order, content, ...keys }, caller) => {
      if (content) refuseContentTo(caller);
      const letters = await spool.deadLetters(toFilter(keys, id), { limit, newest: order === 'newest' });
      if (letters.length === 0) await refuseUnknown(keys, id);
      return letters.map((letter) => letterView(letter, { content, mayQuote: caller.mayReadContent }));
    },
  });

  const show = defineRoute({
    method: 'GET',
    path: '/dead-letters/{id}',
    summary: 'Shows one dead letter with its request and every attempt.',
    asks: letterQuestion,
    answers: letterShape,
    handle: async ({ id, content }, caller) => {
      if (content) refuseContentTo(caller);
      const letter = await spool.deadLetter(id);
      const descendants = await spool.descendants(id);
      if (letter === undefined) throw unknownLetter(id, descendants);
      const body = letter.body instanceof Uint8Array ? redactor.bytes(letter.body) : letter.body;
      return detailView({ ...letter, body }, descendants, { content, mayQuote: caller.mayReadContent });
    },
  });

  const replay = defineRoute({
    method: 'POST',
    path: '/dead-letters/replay',
    summary: 'Makes dead letters deliveries again, under their ids.',
    asks: replayQuestion,
    answers: replayedShape,
    handle: async (asked, caller) => {
      const { filter, before } = meant(asked);
      const there = Math.min(await spool.countDead(filter), asked.limit ?? Number.POSITIVE_INFINITY);
      if (there === 0) await refuseUnknown(asked.filter, asked.ids);
      if (asked.dryRun || there === 0) return { count: there, failed: 0, before };
      const { replayed, failed } = await operations.replay(filter, there);
      audit(events, caller, `replayed ${replayed} dead letters (${describe(asked)}); ${failed} stay dead`);
      return { count: replayed, failed, before };
    },
  });

  const purge = defineRoute({
    method: 'POST',
    path: '/dead-letters/purge',
    summary: 'Removes dead letters for good.',
    asks: purgeQuestion,
    answers: purgedShape,
    handle: async (asked, caller) => {
      const { filter, before } = meant(asked);
      const count = asked.dryRun ? await spool.countDead(filter) : await spool.purgeDead(filter);
      if (count === 0) await refuseUnknown(asked.filter, asked.ids);
      if (asked.dryRun) return { count, before };
      audit(events, caller, `purged ${count} dead letters (${describe(asked)})`);
      return { count, before };
    },
  });

  /** What has died by now: what dies while they are replayed, or died once more, is not meant. */
  function meant({ ids, filter = {} }: Selection): { readonly filter: DeadFilter; readonly before: string } {
    const before = Math.min(filter.before ?? Number.POSITIVE_INFINITY, clock.now() + 1);
    return { filter: toFilter({ ...filter, before }, ids), before: rfc3339(before) };
  }

  /** Where nothing was found by names alone. Ids say what is meant by themselves. */
  async function refuseUnknown(filter: FilterKeys = {}, ids: readonly DeliveryId[] | undefined): Promise<void> {
    if (ids === undefined) await refuseUnknownNames(filter, { operations, spool });
  }

  return [list, show, replay, purge];
}

/** A parent that was delivered is asked for by who looks for what came of it. */
function unknownLetter(id: DeliveryId, descendants: readonly Descendant[]): ServiceError {
  const known = descendants.map((descendant) => `${descendant.id} is ${descendant.state}`);
  const elsewhere = ': it is still owed, was delivered or purged, or was deleted for its age';
  const came = known.length === 0 ? elsewhere : `; of what came of it ${known.join(', ')}`;
  return new ServiceError('UNKNOWN_DEAD_LETTER', `there is no dead letter ${JSON.stringify(id)}${came}`);
}

type Selection = z.output<typeof purgeQuestion>;

type FilterKeys = NonNullable<Selection['filter']>;

function toFilter({ pool, handler, host, reason, since, before }: FilterKeys, ids: readonly DeliveryId[] | undefined): DeadFilter {
  return {
    ...(ids && { ids }),
    ...(pool !== undefined && { pool }),
    ...(handler !== undefined && { handler }),
    ...(host !== undefined && { host }),
    ...(reason !== undefined && { reason }),
    ...(since !== undefined && { diedSince: since }),
    ...(before !== undefined && { diedBefore: before }),
  };
}

/** A selection in words, ids left out. */
function describe({ ids, filter = {}, all }: Selection): string {
  const keys = Object.entries(filter).map(([key, value]) => `${key} ${typeof value === 'number' ? rfc3339(value) : value}`);
  return [...(ids ? [`${ids.length} ids`] : []), ...keys, ...(all === true ? ['all'] : [])].join(', ');
}
