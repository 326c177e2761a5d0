import { createRfc3339 } from '../kit/clock.ts';
import type { SpoolInfo } from '../spool/inspect.ts';
import { counted, facts, table } from './layout.ts';
import { localTime } from './times.ts';

/** What a spool holds, for programs: instants in RFC 3339. */
export function infoAsJson({ oldest, ...info }: SpoolInfo): object {
  const rfc3339 = createRfc3339();
  return { exists: true, ...info, oldest: Object.fromEntries(Object.entries(oldest).map(([pool, at]) => [pool, rfc3339(at)])) };
}

/** The same for people. */
export function infoText({ path, bytes, version, isOld, holder, queues, oldest, marks, paused }: SpoolInfo): string {
  const rfc3339 = createRfc3339();
  const head = facts([
    ['file', path],
    ['size', `${(bytes / 1024 ** 2).toFixed(1)} MiB`],
    ['schema', isOld ? `${version}, of an older version: the service brings it up when it starts` : String(version)],
    ['held by', holder === null ? 'nobody' : `process ${holder}`],
    ['paused', paused.length === 0 ? '-' : paused.join(', ')],
    ...Object.entries(oldest).map(([pool, at]) => ['oldest', `${localTime(rfc3339(at))} of pool ${pool}`] as const),
    ...marks.map(({ attachment, host, node, epoch, h }) => ['mark', `${attachment}: ${host} ${node} ${shortened(epoch)} ${h}`] as const),
  ]);
  if (isOld) return head;
  const rows = queues.map(({ pool, handler, waiting, dead }) => [pool, handler, String(waiting), String(dead)]);
  return `${head}\n${rows.length === 0 ? `${counted(0, 'delivery', 'deliveries')}\n` : table(['POOL', 'HANDLER', 'WAITING', 'DEAD'], rows)}`;
}

/** Shortens a mark; the mark of an archive may name hundreds of messages. */
function shortened(epoch: string): string {
  return epoch.length <= maxEpochLength ? epoch : `${epoch.slice(0, maxEpochLength)}…`;
}

const maxEpochLength = 64;
