import type { z } from 'zod';
import { isSecretKey } from '../../config/secrets.ts';
import { ServiceError } from '../../kit/errors.ts';
import type { AttemptRecord, Judgement } from '../../model/attempt.ts';
import type { Answered, Body, DeliveryId, Target } from '../../model/delivery.ts';
import { type Descendant, parentOf } from '../../spool/event-store.ts';
import type { DeadFilter, DeadLetter, DeadLetterDetail } from '../../spool/spool.ts';
import { outcomeView, quoted, refuseContentTo, shownDetail, type Visibility } from './content.ts';
import { groupsRoute } from './dead-letter-groups.ts';
import {
  type answeredShape,
  letterList,
  letterParameters,
  letterShape,
  listParameters,
  purgedShape,
  purgeParameters,
  replayedShape,
  replayParameters,
} from './dead-letter-shapes.ts';
import { handlersOf, poolsOf, unknownName } from './pools.ts';
import { type ApiDependencies, audit, defineRoute, type Route } from './route.ts';
import { rfc3339 } from './values.ts';

/** Deliveries that were given up: list, show, replay, purge. */
export function deadLetterRoutes(dependencies: ApiDependencies): readonly Route[] {
  return [listRoute(dependencies), groupsRoute(dependencies), showRoute(dependencies), replayRoute(dependencies), purgeRoute(dependencies)];
}

function listRoute(dependencies: ApiDependencies): Route {
  return defineRoute({
    method: 'GET',
    path: '/dead-letters',
    summary: 'Lists dead letters, newest last.',
    parameters: listParameters,
    response: letterList,
    handle: async ({ id, limit, order, content, ...keys }, caller) => {
      if (content || isQuote(keys)) refuseContentTo(caller);
      const letters = await dependencies.spool.deadLetters(toFilter(keys, id), { limit, newest: order === 'newest' });
      if (letters.length === 0) await refuseUnknown(keys, id, dependencies);
      return letters.map((letter) => letterView(letter, { content, mayQuote: caller.mayReadContent }));
    },
  });
}

function showRoute({ spool, lookup, redactor }: ApiDependencies): Route {
  return defineRoute({
    method: 'GET',
    path: '/dead-letters/{id}',
    summary: 'Shows one dead letter with its request and every attempt.',
    parameters: letterParameters,
    response: letterShape,
    handle: async ({ id, content }, caller) => {
      if (content) refuseContentTo(caller);
      const letter = await spool.deadLetter(id);
      const descendants = await lookup.descendants(id);
      if (letter === undefined) throw unknownLetter(id, descendants);
      const body = letter.body instanceof Uint8Array ? redactor.bytes(letter.body) : letter.body;
      return detailView({ ...letter, body }, descendants, { content, mayQuote: caller.mayReadContent });
    },
  });
}

function replayRoute(dependencies: ApiDependencies): Route {
  const { spool, operations, events } = dependencies;
  return defineRoute({
    method: 'POST',
    path: '/dead-letters/replay',
    summary: 'Makes dead letters deliveries again, under their ids.',
    parameters: replayParameters,
    response: replayedShape,
    handle: async (given, caller) => {
      if (isQuote(given.filter)) refuseContentTo(caller);
      const { filter, before } = selected(given, dependencies);
      const found = Math.min(await spool.countDead(filter), given.limit ?? Number.POSITIVE_INFINITY);
      if (found === 0) await refuseUnknown(given.filter, given.ids, dependencies);
      if (given.dryRun || found === 0) return { count: found, failed: 0, before };
      const { replayed, failed } = await operations.replay(filter, found);
      audit(events, caller, `replayed ${replayed} dead letters (${describe(given)}); ${failed} stay dead`);
      return { count: replayed, failed, before };
    },
  });
}

function purgeRoute(dependencies: ApiDependencies): Route {
  const { spool, events } = dependencies;
  return defineRoute({
    method: 'POST',
    path: '/dead-letters/purge',
    summary: 'Removes dead letters permanently.',
    parameters: purgeParameters,
    response: purgedShape,
    handle: async (given, caller) => {
      if (isQuote(given.filter)) refuseContentTo(caller);
      const { filter, before } = selected(given, dependencies);
      const count = given.dryRun ? await spool.countDead(filter) : await spool.purgeDead(filter);
      if (count === 0) await refuseUnknown(given.filter, given.ids, dependencies);
      if (given.dryRun) return { count, before };
      audit(events, caller, `purged ${count} dead letters (${describe(given)})`);
      return { count, before };
    },
  });
}

type Selection = z.output<typeof purgeParameters>;

type FilterKeys = NonNullable<Selection['filter']>;

/** Whether a filter contains a text that is hidden without content: who may guess it must not learn whether the guess is right. */
function isQuote({ detail, reason = 'refused' }: FilterKeys = {}): boolean {
  return detail !== undefined && shownDetail({ detail, reason }, false) !== detail;
}

/** Only letters that have died by now: one that dies during a replay, or dies again, is not selected. */
function selected(
  { ids, filter = {} }: Selection,
  { clock }: Pick<ApiDependencies, 'clock'>,
): { readonly filter: DeadFilter; readonly before: string } {
  const before = Math.min(filter.before ?? Number.POSITIVE_INFINITY, clock.now() + 1);
  return { filter: toFilter({ ...filter, before }, ids), before: rfc3339(before) };
}

function toFilter({ pool, handler, host, reason, detail, since, before }: FilterKeys, ids: readonly DeliveryId[] | undefined): DeadFilter {
  return {
    ...(ids && { ids }),
    ...(pool !== undefined && { pool }),
    ...(handler !== undefined && { handler }),
    ...(host !== undefined && { host }),
    ...(reason !== undefined && { reason }),
    ...(detail !== undefined && { detail }),
    ...(since !== undefined && { diedSince: since }),
    ...(before !== undefined && { diedBefore: before }),
  };
}

/**
 * For a selection without a letter: throws if a name in its filter is neither configured nor in any dead letter. Letters of removed
 * handlers, pools and hosts stay accessible. A selection by ids is not checked.
 */
async function refuseUnknown(
  filter: FilterKeys = {},
  ids: readonly DeliveryId[] | undefined,
  { operations, spool }: ApiDependencies,
): Promise<void> {
  if (ids !== undefined) return;
  const pools = operations.pools();
  const configured = { handler: handlersOf(pools), host: operations.hosts(), pool: poolsOf(pools) };
  for (const what of ['pool', 'handler', 'host'] as const) {
    const name = filter[what];
    if (name === undefined || configured[what].includes(name)) continue;
    if ((await spool.countDead({ [what]: name })) === 0)
      throw unknownName(what, name, configured[what], ' and no dead letter with this name');
  }
}

/** A selection as text, without the ids. */
function describe({ ids, filter = {}, all }: Selection): string {
  const { detail, ...rest } = filter; // may quote content, and this text is logged
  const keys = Object.entries(rest).map(([key, value]) => `${key} ${typeof value === 'number' ? rfc3339(value) : value}`);
  return [
    ...(ids ? [`${ids.length} ids`] : []),
    ...keys,
    ...(detail === undefined ? [] : ['one detail']),
    ...(all === true ? ['all'] : []),
  ].join(', ');
}

/** Names the descendants: an operator may look for those of a delivered parent. */
function unknownLetter(id: DeliveryId, descendants: readonly Descendant[]): ServiceError {
  const known = descendants.map((descendant) => `${descendant.id} is ${descendant.state}`);
  const elsewhere = ': it is still pending, was delivered or purged, or was deleted because of its age';
  const text = known.length === 0 ? elsewhere : `; of its descendants, ${known.join(', ')}`;
  return new ServiceError('UNKNOWN_DEAD_LETTER', `there is no dead letter ${JSON.stringify(id)}${text}`);
}

type LetterView = z.input<typeof letterList>[number];
type DetailView = z.input<typeof letterShape>;
type AnsweredView = z.input<typeof answeredShape>;

function letterView(letter: DeadLetter, { content, mayQuote }: Visibility): LetterView {
  const { id, host, handler, pool, reason, status, attempts, createdAt, diedAt, sender, receiver } = letter;
  const detail = shownDetail(letter, mayQuote);
  const view = { id, host, handler, pool, reason, detail, status, attempts, createdAt: rfc3339(createdAt), diedAt: rfc3339(diedAt) };
  return content ? { ...view, sender, receiver } : view;
}

function detailView(letter: DeadLetterDetail, descendants: readonly Descendant[], visibility: Visibility): DetailView {
  return {
    ...letterView(letter, visibility),
    parent: parentOf(letter.id),
    descendants: [...descendants],
    ...contentView(letter, visibility),
  };
}

type ContentView = Pick<DetailView, 'body' | 'bodyBytes' | 'history' | 'packet' | 'target'>;

/** Request, attempts, body and packet, as far as the caller may see them. */
export function contentView(
  { target, body, packet, history }: Pick<DeadLetterDetail, 'body' | 'history' | 'packet' | 'target'>,
  visibility: Visibility,
): ContentView {
  return {
    target: target && targetView(target, visibility),
    history: history.map((attempt) => attemptView(attempt, visibility)),
    bodyBytes: body === null ? null : Buffer.byteLength(body),
    ...(visibility.content && body !== null ? { body: bodyView(body) } : {}),
    ...(visibility.content && packet !== null ? { packet } : {}),
  };
}

function targetView(target: Target, visibility: Visibility): DetailView['target'] {
  const { content } = visibility;
  if (target.kind === 'xmpp') return { kind: target.kind, from: target.from ?? null, ...(content ? { to: target.to } : {}) };
  const { kind, method, path, headers, stanza, purpose, answered } = target;
  const shown = headers.map(([name, value]): [string, string] => [name, content || !isSecretKey(name) ? value : '[redacted]']);
  const origin = purpose?.kind === 'order' ? purpose.origin : undefined;
  return {
    kind,
    ...(origin === undefined ? {} : { origin }),
    ...{ method, path, headers: shown },
    ...(content && stanza !== undefined ? { stanza } : {}),
    ...(answered === undefined ? {} : { answered: answeredView(answered, visibility) }),
  };
}

/** Receivers and push texts are content: the business server has them from users. */
function answeredView(answered: Answered, { content }: Visibility): AnsweredView {
  if (answered.kind === 'failed') return { result: 'failed', reason: answered.reason };
  const { userIDList, offlinePushInfo } = answered;
  if (!content) return { result: 'allowed' };
  return {
    result: 'allowed',
    ...(userIDList === undefined ? {} : { userIDList: [...userIDList] }),
    ...(offlinePushInfo === undefined ? {} : { offlinePushInfo }),
  };
}

function attemptView({ number, at, outcome, judgement }: AttemptRecord, { mayQuote }: Visibility): DetailView['history'][number] {
  const judged = judgement === undefined ? null : judgementView(judgement, mayQuote);
  return { number, at: rfc3339(at), outcome: outcomeView(outcome, mayQuote), judgement: judged };
}

function judgementView(judgement: Judgement, mayQuote: boolean): DetailView['history'][number]['judgement'] {
  const { verdict, status, origin, detail } = judgement;
  const context = Object.fromEntries(Object.entries(judgement.context).map(([name, text]) => [name, quoted(text, mayQuote)]));
  return { verdict, status: status ?? null, detail: quoted(detail, mayQuote), origin, context };
}

function bodyView(body: Body): DetailView['body'] {
  return typeof body === 'string' ? { encoding: 'text', data: body } : { encoding: 'base64', data: Buffer.from(body).toString('base64') };
}
