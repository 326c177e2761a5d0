import { letterList, letterShape, mostAtOnce, purgedShape } from '../admin/api/dead-letter-shapes.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { confirm, refuseUnasked } from './confirm.ts';
import { letterTable, letterText } from './dead-letter-text.ts';
import { counted, tell } from './layout.ts';
import { wholeOption } from './options.ts';
import { replay } from './replay.ts';
import { filterIn, filterOptions, selectionIn } from './selection.ts';

const anyNumber = { least: 0, most: mostAtOnce };

/** The commands about dead letters. */
export const deadLetterCommands: readonly Command[] = [
  {
    name: 'dead-letters list',
    synopsis: '[FILTER] [--limit N] [SERVICE]',
    does: 'lists the newest 100, or N, the newest last',
    options: ['limit', ...filterOptions, ...serviceOptions],
    run: list,
  },
  {
    name: 'dead-letters show',
    synopsis: 'ID [--content] [SERVICE]',
    does: 'shows one with its request and every attempt; --content shows what people wrote too',
    operands: { least: 1, most: 1 },
    options: ['content', ...serviceOptions],
    run: show,
  },
  {
    name: 'dead-letters replay',
    synopsis: '[ID…] [FILTER] [--all] [--limit N] [--rate N] [--dry-run] [SERVICE]',
    does: 'makes them deliveries again, under their ids, the oldest first, N a second with --rate',
    operands: anyNumber,
    options: ['all', 'dry-run', 'limit', 'rate', ...filterOptions, ...serviceOptions],
    run: replay,
  },
  {
    name: 'dead-letters purge',
    synopsis: '[ID…] [FILTER] [--all] [--dry-run] [--yes] [SERVICE]',
    does: 'removes them for good',
    operands: anyNumber,
    options: ['all', 'dry-run', 'yes', ...filterOptions, ...serviceOptions],
    run: purge,
  },
];

async function list({ values }: Call): Promise<number> {
  const query = { ...filterIn(values), limit: wholeOption(values, 'limit', mostAtOnce) };
  const service = await findService(values);
  const letters = await service.get('/dead-letters', letterList, query);
  const told = letters.map(({ id, host, handler, pool, reason, status, attempts, createdAt }) => ({
    ...{ id, host, handler, pool, reason, status, attempts, createdAt },
  }));
  tell(values.json, told, letters.length === 0 ? 'No dead letters.\n' : letterTable(letters));
  return 0;
}

async function show({ values, operands: [id = ''] }: Call): Promise<number> {
  const service = await findService(values);
  const query = values.content === true ? { content: true } : {};
  const letter = await service.get(`/dead-letters/${encodeURIComponent(id)}`, letterShape, query);
  tell(values.json, letter, letterText(letter));
  return 0;
}

/** At a terminal it counts and asks; what dies meanwhile stays. */
async function purge(call: Call): Promise<number> {
  const { values } = call;
  const selection = selectionIn(call);
  const asks = values.yes !== true && values['dry-run'] !== true;
  if (asks) refuseUnasked();
  const service = await findService(values);
  const counting = await service.post('/dead-letters/purge', purgedShape, { ...selection, dryRun: true });
  if (values['dry-run'] === true) {
    tell(values.json, counting, `${counted(counting.count, 'dead letter')} would be removed.\n`);
    return 0;
  }
  if (asks && !(await confirm(`Remove ${counted(counting.count, 'dead letter')} for good?`))) return 1;

  const { ids, filter } = selection;
  const same = { ...(ids && { ids }), filter: { ...filter, before: counting.before } };
  const purged = await service.post('/dead-letters/purge', purgedShape, same);
  tell(values.json, purged, `${counted(purged.count, 'dead letter')} removed.\n`);
  return 0;
}
