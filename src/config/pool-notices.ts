import type { Reading } from './reading.ts';
import type { PoolSection } from './schema/pool.ts';
import { type Path, showPath, type Table } from './table.ts';

interface ReadPool {
  readonly pool: PoolSection;
  /** The pool as it stands in the file: what MongooseIM means by a key is told only where somebody wrote it. */
  readonly written: Table;
  readonly path: Path;
}

/** Tells what a pool's keys mean here otherwise than in MongooseIM, which have no effect, and what one pool does to the others. */
export function noticeDifferences({ pool, written, path }: ReadPool, reading: Reading): void {
  const say: Say = (key, text) => reading.notice(`${showPath([...path, ...key.split('.')])}: ${text}`);
  const { connection, retry } = pool;

  noticeStrategy(pool.strategy, say);
  if (pool.max_worker_queue_len !== undefined) say('max_worker_queue_len', 'has no effect, deliveries wait on disk and not with a worker');
  noticeCallTimeout(pool, { given: 'call_timeout' in written, say });
  if (connection.tls !== undefined && /^http:/i.test(connection.host)) say('connection.tls', 'has no effect, the host is http');
  if (retry.schedule.reduce((sum, waitMs) => sum + waitMs, 0) > retry.max_age) {
    say('retry.schedule', 'its waits take longer than retry.max_age, which ends a delivery before the last of them');
  }
  if (pool.overflow === 'hold-intake') {
    say('overflow', `"hold-intake" stops the intake of every pool, not only of this one, while ${pool.max_backlog} deliveries wait here`);
  }
}

type Say = (key: string, text: string) => void;

function noticeStrategy(strategy: PoolSection['strategy'], say: Say): void {
  if (strategy === undefined || strategy === 'available_worker') return;
  const atOnce = strategy === 'next_available_worker' ? ', and none fails because every worker is busy' : '';
  say('strategy', `"${strategy}" works as "available_worker": what waits is in one durable queue that all workers share${atOnce}`);
}

function noticeCallTimeout(
  { call_timeout: callTimeout, connection }: PoolSection,
  { given, say }: { readonly given: boolean; readonly say: Say },
): void {
  if (connection.request_timeout > callTimeout) {
    const requestTimeout = `connection.request_timeout (${connection.request_timeout} ms)`;
    say('call_timeout', `ends an attempt after ${callTimeout} ms, before ${requestTimeout} can`);
  }
  if (given) {
    say('call_timeout', 'counts from when a worker takes the request: the wait before is on disk, is not counted, and drops nothing');
  }
}
