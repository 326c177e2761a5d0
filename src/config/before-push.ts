import type { BeforePushConfig, PoolConfig } from './config.ts';
import { isLoopback } from './loopback.ts';
import type { Reading } from './reading.ts';
import type { BeforePushSection } from './schema/before-push.ts';
import { type Path, showPath } from './table.ts';
import { joinPath } from './url.ts';

/** OpenIM's name of the question, and how it wants to be asked. */
const query = 'command=callbackBeforePushCommand&contenttype=json';

/** What a handler's questions are queued by. No handler has such a name. */
export function beforePushOf(handlerName: string, section: BeforePushSection, pool: PoolConfig): BeforePushConfig {
  const path = joinPath(pool.pathPrefix, section.path);
  return {
    queue: `${handlerName}:ask`,
    pool: pool.id,
    path: section.path,
    requestPath: `${path}${path.includes('?') ? '&' : '?'}${query}`,
    timeoutMs: section.timeout,
    onFailure: section.on_failure,
  };
}

/** What people say to each other, and who they are, must not cross a network in the open. */
export function warnOfPlainHttp({ origin, id }: PoolConfig, path: Path, reading: Reading): void {
  if (!URL.canParse(origin)) return; // a mistake, told elsewhere
  const { protocol, hostname } = new URL(origin);
  if (protocol === 'https:' || isLoopback(hostname.replace(/^\[|\]$/g, ''))) return;
  reading.notice(
    `${showPath(path)}: the business server at ${origin} (pool ${id}) is asked over http: whoever is in between reads and changes it; use https`,
  );
}
