import { countShape, orphanList } from '../admin/api/pools.ts';
import { ServiceError } from '../kit/errors.ts';
import { type AdminClient, findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { confirm, counted, output, requireTerminal, table } from './terminal.ts';

/** The commands about deliveries whose handler or pool is no longer configured. */
export const orphanCommands: readonly Command[] = [
  {
    name: 'orphans list',
    synopsis: '[SERVICE]',
    description: 'lists deliveries of handlers and pools that are no longer configured',
    options: serviceOptions,
    run: list,
  },
  {
    name: 'orphans move',
    synopsis: '--pool NAME --handler NAME [--to-pool NAME] [--to-handler NAME] [SERVICE]',
    description: 'moves them to a configured handler and pool; an omitted name stays the same',
    options: ['handler', 'pool', 'to-handler', 'to-pool', ...serviceOptions],
    run: move,
  },
  {
    name: 'orphans purge',
    synopsis: '--pool NAME --handler NAME [--yes] [SERVICE]',
    description: 'removes them permanently',
    options: ['handler', 'pool', 'yes', ...serviceOptions],
    run: purge,
  },
];

async function list({ values }: Call): Promise<number> {
  const service = await findService(values);
  const orphans = await service.get('/orphans', orphanList);
  const rows = orphans.map(({ pool, handler, waiting }) => [pool, handler, String(waiting)]);
  output(values.json, orphans, rows.length === 0 ? 'No orphans.\n' : table(['POOL', 'HANDLER', 'WAITING'], rows));
  return 0;
}

async function move({ values }: Call): Promise<number> {
  const from = queueIn(values);
  const to = { pool: values['to-pool'] ?? from.pool, handler: values['to-handler'] ?? from.handler };
  if (to.pool === from.pool && to.handler === from.handler)
    throw new ServiceError('USAGE', 'missing destination: --to-pool, --to-handler or both');
  const service = await findService(values);
  const moved = await service.post('/orphans/move', countShape, { from, to });
  output(values.json, moved, `${deliveries(moved.count)} moved to handler ${to.handler} on pool ${to.pool}.\n`);
  return 0;
}

async function purge({ values }: Call): Promise<number> {
  const queue = queueIn(values);
  if (values.yes !== true) requireTerminal();
  const service = await findService(values);
  if (values.yes !== true && !(await confirm(`Permanently remove ${deliveries(await waitingIn(queue, service))}?`))) return 1;
  const purged = await service.post('/orphans/purge', countShape, queue);
  output(values.json, purged, `${deliveries(purged.count)} removed.\n`);
  return 0;
}

interface Queue {
  readonly pool: string;
  readonly handler: string;
}

function queueIn({ pool, handler }: Call['values']): Queue {
  if (pool === undefined || handler === undefined) throw new ServiceError('USAGE', 'missing --pool and --handler of the orphans');
  return { pool, handler };
}

async function waitingIn({ pool, handler }: Queue, service: AdminClient): Promise<number> {
  const orphans = await service.get('/orphans', orphanList);
  return orphans.find((orphan) => orphan.pool === pool && orphan.handler === handler)?.waiting ?? 0;
}

function deliveries(count: number): string {
  return counted(count, 'delivery', 'deliveries');
}
