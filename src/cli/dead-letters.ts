import type { z } from 'zod';
import { groupsShape, letterList, letterShape, mostAtOnce, purgedShape } from '../admin/api/dead-letter-shapes.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { filterIn, filterOptions, selectionIn, wholeOption } from './options.ts';
import { replay } from './replay.ts';
import { outcomeText } from './send-test.ts';
import { confirm, counted, facts, none, output, requireTerminal, table } from './terminal.ts';
import { localTime } from './times.ts';

const anyNumber = { least: 0, most: mostAtOnce };

/** The commands about dead letters. */
export const deadLetterCommands: readonly Command[] = [
  {
    name: 'dead-letters list',
    synopsis: '[FILTER] [--limit N] [SERVICE]',
    description: 'lists the newest 100 (or N) dead letters, the newest last',
    options: ['limit', ...filterOptions, ...serviceOptions],
    run: list,
  },
  {
    name: 'dead-letters groups',
    synopsis: '[SERVICE]',
    description: 'groups the newest 5000 dead letters by handler, pool, reason and error',
    options: serviceOptions,
    run: groups,
  },
  {
    name: 'dead-letters show',
    synopsis: 'ID [--content] [SERVICE]',
    description: 'shows one dead letter with its request and attempts; --content includes message texts',
    operands: { least: 1, most: 1 },
    options: ['content', ...serviceOptions],
    run: show,
  },
  {
    name: 'dead-letters replay',
    synopsis: '[ID…] [FILTER] [--all] [--limit N] [--rate N] [--dry-run] [SERVICE]',
    description: 'makes them deliveries again, with their ids, the oldest first, N per second with --rate',
    operands: anyNumber,
    options: ['all', 'dry-run', 'limit', 'rate', ...filterOptions, ...serviceOptions],
    run: replay,
  },
  {
    name: 'dead-letters purge',
    synopsis: '[ID…] [FILTER] [--all] [--dry-run] [--yes] [SERVICE]',
    description: 'removes dead letters permanently',
    operands: anyNumber,
    options: ['all', 'dry-run', 'yes', ...filterOptions, ...serviceOptions],
    run: purge,
  },
];

async function list({ values }: Call): Promise<number> {
  const query = { ...filterIn(values), limit: wholeOption(values, 'limit', { most: mostAtOnce }) };
  const service = await findService(values);
  const letters = await service.get('/dead-letters', letterList, query);
  const listed = letters.map(({ id, host, handler, pool, reason, status, attempts, createdAt }) => ({
    ...{ id, host, handler, pool, reason, status, attempts, createdAt },
  }));
  output(values.json, listed, letters.length === 0 ? 'No dead letters.\n' : letterTable(letters));
  return 0;
}

async function groups({ values }: Call): Promise<number> {
  const service = await findService(values);
  const found = await service.get('/dead-letters/groups', groupsShape);
  output(values.json, found, found.groups.length === 0 ? 'No dead letters.\n' : groupText(found));
  return 0;
}

function groupText({ total, seen, groups: found }: z.output<typeof groupsShape>): string {
  const rows = found.map(({ count, newestAt, reason, handler, pool, detail }) => [
    ...[String(count), localTime(newestAt), reason, `${handler} on ${pool}`],
    detail === '' ? none : detail,
  ]);
  const rest = seen === total ? '' : `The newest ${seen} of ${counted(total, 'dead letter')}.\n`;
  return `${table(['COUNT', 'NEWEST', 'REASON', 'HANDLER', 'ERROR'], rows)}${rest}`;
}

async function show({ values, operands: [id = ''] }: Call): Promise<number> {
  const service = await findService(values);
  const query = values.content === true ? { content: true } : {};
  const letter = await service.get(`/dead-letters/${encodeURIComponent(id)}`, letterShape, query);
  output(values.json, letter, letterText(letter));
  return 0;
}

/** Counts and asks at a terminal; later dead letters stay. */
async function purge(call: Call): Promise<number> {
  const { values } = call;
  const selection = selectionIn(call);
  const asks = values.yes !== true && values['dry-run'] !== true;
  if (asks) requireTerminal();
  const service = await findService(values);
  const counting = await service.post('/dead-letters/purge', purgedShape, { ...selection, dryRun: true });
  if (values['dry-run'] === true) {
    output(values.json, counting, `${counted(counting.count, 'dead letter')} would be removed.\n`);
    return 0;
  }
  if (asks && !(await confirm(`Permanently remove ${counted(counting.count, 'dead letter')}?`))) return 1;

  const { ids, filter } = selection;
  const same = { ...(ids && { ids }), filter: { ...filter, before: counting.before } };
  const purged = await service.post('/dead-letters/purge', purgedShape, same);
  output(values.json, purged, `${counted(purged.count, 'dead letter')} removed.\n`);
  return 0;
}

type Letters = z.output<typeof letterList>;
type Letter = z.output<typeof letterShape>;

function letterTable(letters: Letters): string {
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

/** One dead letter with all shown details. */
function letterText(letter: Letter): string {
  const { id, diedAt, createdAt, reason, detail, handler, pool, host, sender, receiver } = letter;
  const people = sender === undefined || receiver === undefined ? [] : [['from, to', `${sender}, ${receiver}`] as const];
  return facts([
    ['id', id],
    ['handler', `${handler} on ${pool} at ${host}`],
    ['accepted', localTime(createdAt)],
    ['died', `${localTime(diedAt)}, ${reason}: ${detail}`],
    ...people,
    ...orderFacts(letter),
    ...requestFacts(letter),
    ['attempts', attemptsText(letter)],
  ]);
}

/** The delivery whose answer ordered it, and the deliveries that its own answers ordered. */
function orderFacts({ parent, descendants }: Letter): readonly (readonly [string, string])[] {
  const ordered = descendants.map(({ id, state }) => `${id} (${state})`);
  return [
    ...(parent === null ? [] : [['ordered by', parent] as const]),
    ...(ordered.length === 0 ? [] : [['ordered', ordered.join('\n')] as const]),
  ];
}

export function requestFacts({
  target,
  bodyBytes,
  body,
  packet,
}: Pick<Letter, 'body' | 'bodyBytes' | 'packet' | 'target'>): readonly (readonly [string, string])[] {
  if (target === null) return [['packet', packet ?? 'stored, shown with --content']];
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

/** The answer of the business server before the push. */
function answeredText({ result, reason, userIDList, offlinePushInfo }: Answered): string {
  return [
    result === 'failed' ? `no valid answer: ${reason}` : 'allowed',
    ...(userIDList === undefined ? [] : [`userIDList ${JSON.stringify(userIDList)}`]),
    ...(offlinePushInfo === undefined ? [] : [`offlinePushInfo ${JSON.stringify(offlinePushInfo)}`]),
  ].join('\n');
}

export function attemptsText({ history }: Pick<Letter, 'history'>): string {
  const lines = history.flatMap(({ number, at, outcome, judgement }) => [
    `${number}. ${localTime(at)}  ${outcomeText(outcome)}`,
    ...(outcome.kind === 'answered' && outcome.excerpt !== '' ? [outcome.excerpt] : []),
    ...(judgement === null
      ? []
      : [`verdict of the handler's callbacks: ${judgement.verdict} ${judgement.status ?? ''} ${judgement.detail}`.trim()]),
  ]);
  return lines.length === 0 ? 'none' : lines.join('\n');
}
