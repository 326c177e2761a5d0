import type { z } from 'zod';
import type { letterList, letterShape } from '../admin/api/dead-letter-shapes.ts';
import { facts, none, table } from './layout.ts';
import { outcomeText } from './outcome-text.ts';
import { localTime } from './times.ts';

type Letters = z.output<typeof letterList>;
type Letter = z.output<typeof letterShape>;

export function letterTable(letters: Letters): string {
  const rows = letters.map(({ id, diedAt, reason, status, attempts, handler, pool, host, detail }) => [
    id,
    localTime(diedAt),
    reason,
    String(status ?? '-'),
    String(attempts),
    `${handler} on ${pool} at ${host}`,
    detail === '' ? none : detail,
  ]);
  return table(['ID', 'DIED', 'REASON', 'STATUS', 'TRIES', 'HANDLER', 'ERROR'], rows, 2);
}

/** One dead letter with all that the service shows of it. */
export function letterText(letter: Letter): string {
  const { id, diedAt, createdAt, reason, detail, handler, pool, host, sender, receiver } = letter;
  const people = sender === undefined || receiver === undefined ? [] : [['from, to', `${sender}, ${receiver}`] as const];
  return facts([
    ['id', id],
    ['handler', `${handler} on ${pool} at ${host}`],
    ['accepted', localTime(createdAt)],
    ['died', `${localTime(diedAt)}, ${reason}: ${detail}`],
    ...people,
    ...kinFacts(letter),
    ...requestFacts(letter),
    ['attempts', attemptsText(letter)],
  ]);
}

/** Whose answer ordered it, and what came of it in turn. */
function kinFacts({ parent, descendants }: Letter): readonly (readonly [string, string])[] {
  const came = descendants.map(({ id, state }) => `${id} (${state})`);
  return [
    ...(parent === null ? [] : [['came of', parent] as const]),
    ...(came.length === 0 ? [] : [['brought about', came.join('\n')] as const]),
  ];
}

function requestFacts({ target, bodyBytes, body, packet }: Letter): readonly (readonly [string, string])[] {
  if (target === null) return [['packet', packet ?? 'kept, and shown with --content']];
  const shown = body === undefined ? `${bodyBytes ?? 0} bytes, shown with --content` : body.data;
  if (target.kind === 'xmpp')
    return [
      ['message', `from ${target.from ?? 'the attachment'} to ${target.to ?? 'a user, shown with --content'}`],
      ['body', shown],
    ];
  const headers = target.headers.map(([name, value]) => `${name}: ${value}`);
  return [
    ['request', [`${target.method} ${target.origin ?? ''}${target.path}`, ...headers].join('\n')],
    [body?.encoding === 'base64' ? 'body (base64)' : 'body', shown],
    ...(target.stanza === undefined ? [] : [['stanza', target.stanza] as const]),
    ...(target.answered === undefined ? [] : [['before push', answeredText(target.answered)] as const]),
  ];
}

type Answered = NonNullable<Extract<Letter['target'], { kind: 'http' }>['answered']>;

/** What a business server said when it was asked about it. */
function answeredText({ result, reason, userIDList, offlinePushInfo }: Answered): string {
  return [
    result === 'failed' ? `no answer that counts: ${reason}` : 'allowed',
    ...(userIDList === undefined ? [] : [`userIDList ${JSON.stringify(userIDList)}`]),
    ...(offlinePushInfo === undefined ? [] : [`offlinePushInfo ${JSON.stringify(offlinePushInfo)}`]),
  ].join('\n');
}

function attemptsText({ history }: Letter): string {
  const lines = history.flatMap(({ number, at, outcome, judgement }) => [
    `${number}. ${localTime(at)}  ${outcomeText(outcome)}`,
    ...(outcome.kind === 'answered' && outcome.excerpt !== '' ? [outcome.excerpt] : []),
    ...(judgement === null
      ? []
      : [`the handler's callbacks say ${judgement.verdict} ${judgement.status ?? ''} ${judgement.detail}`.trim()]),
  ]);
  return lines.length === 0 ? 'none' : lines.join('\n');
}
