import type { z } from 'zod';
import { isSecretKey } from '../../config/secrets.ts';
import type { AttemptRecord, DeadReason, Judgement } from '../../model/attempt.ts';
import type { Answered, Body, Target } from '../../model/delivery.ts';
import type { DeadLetter, DeadLetterDetail } from '../../spool/dead-letter.ts';
import type { Descendant } from '../../spool/spool.ts';
import { hidden, withoutQuotes } from './content.ts';
import type { answeredShape, letterList, letterShape } from './dead-letter-shapes.ts';
import { outcomeView } from './outcome.ts';
import { rfc3339 } from './values.ts';

interface Sight {
  /** Whether what people wrote is shown. */
  readonly content: boolean;
  /** Whether error texts of callbacks and responses of backends are shown; both may quote content. */
  readonly mayQuote: boolean;
}

type LetterView = z.input<typeof letterList>[number];
type DetailView = z.input<typeof letterShape>;
type AnsweredView = z.input<typeof answeredShape>;

export function letterView(letter: DeadLetter, { content, mayQuote }: Sight): LetterView {
  const { id, host, handler, pool, reason, status, attempts, createdAt, diedAt, sender, receiver } = letter;
  const detail = mayQuote ? letter.detail : withoutQuotes(letter.detail, !quoting.has(reason));
  const view = { id, host, handler, pool, reason, detail, status, attempts, createdAt: rfc3339(createdAt), diedAt: rfc3339(diedAt) };
  return content ? { ...view, sender, receiver } : view;
}

/** Reasons whose detail may be the error text of a callback. */
const quoting: ReadonlySet<DeadReason> = new Set(['callback-failed', 'refused']);

export function detailView(letter: DeadLetterDetail, descendants: readonly Descendant[], sight: Sight): DetailView {
  const { target, body, packet, history } = letter;
  return {
    ...letterView(letter, sight),
    target: target && targetView(target, sight),
    parent: parentOf(letter.id),
    descendants: [...descendants],
    history: history.map((attempt) => attemptView(attempt, sight)),
    bodyBytes: body === null ? null : Buffer.byteLength(body),
    ...(sight.content && body !== null ? { body: bodyView(body) } : {}),
    ...(sight.content && packet !== null ? { packet } : {}),
  };
}

/** Its id is the parent's, a dot and a number. */
function parentOf(id: string): string | null {
  const dot = id.lastIndexOf('.');
  return dot === -1 ? null : id.slice(0, dot);
}

function targetView(target: Target, sight: Sight): DetailView['target'] {
  const { content } = sight;
  if (target.kind === 'xmpp') return { kind: target.kind, from: target.from ?? null, ...(content ? { to: target.to } : {}) };
  const { kind, method, path, headers, stanza, purpose, answered } = target;
  const shown = headers.map(([name, value]): [string, string] => [name, content || !isSecretKey(name) ? value : '[redacted]']);
  const origin = purpose?.kind === 'order' ? purpose.origin : undefined;
  return {
    kind,
    ...(origin === undefined ? {} : { origin }),
    ...{ method, path, headers: shown },
    ...(content && stanza !== undefined ? { stanza } : {}),
    ...(answered === undefined ? {} : { answered: answeredView(answered, sight) }),
  };
}

/** Whom it names, and what they are shown, is what people wrote: the server has it from them. */
function answeredView(answered: Answered, { content }: Sight): AnsweredView {
  if (answered.kind === 'failed') return { result: 'failed', reason: answered.reason };
  const { userIDList, offlinePushInfo } = answered;
  if (!content) return { result: 'allowed' };
  return {
    result: 'allowed',
    ...(userIDList === undefined ? {} : { userIDList: [...userIDList] }),
    ...(offlinePushInfo === undefined ? {} : { offlinePushInfo }),
  };
}

function attemptView({ number, at, outcome, judgement }: AttemptRecord, { mayQuote }: Sight): DetailView['history'][number] {
  const judged = judgement === undefined ? null : judgementView(judgement, mayQuote);
  return { number, at: rfc3339(at), outcome: outcomeView(outcome, mayQuote), judgement: judged };
}

function judgementView(judgement: Judgement, mayQuote: boolean): DetailView['history'][number]['judgement'] {
  const { verdict, status, origin } = judgement;
  const shown = (text: string): string => (mayQuote || text === '' ? text : hidden);
  const context = Object.fromEntries(Object.entries(judgement.context).map(([name, text]) => [name, shown(text)]));
  return { verdict, status: status ?? null, detail: shown(judgement.detail), origin, context };
}

function bodyView(body: Body): DetailView['body'] {
  return typeof body === 'string' ? { encoding: 'text', data: body } : { encoding: 'base64', data: Buffer.from(body).toString('base64') };
}
