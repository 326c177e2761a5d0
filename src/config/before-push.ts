import type { z } from 'zod';
import type { BeforePushConfig, PoolConfig } from './config.ts';
import type { Path } from './mistakes.ts';
import { joinPath } from './pool.ts';
import type { SectionReader } from './section-reader.ts';
import { anyText, flag, isLoopback, oneOf, section, text, wait } from './values.ts';

/** `before_push` of a handler: the business server that is asked before a push. */
export const beforePushSchema = section({
  enabled: flag.default(true),
  /** Default: the pool of the handler. */
  pool_name: text.optional(),
  path: anyText.default(''),
  form: oneOf(['openim-2', 'openim-3']).default('openim-2'),
  timeout: wait.default(5000),
  on_failure: oneOf(['continue', 'refuse']).default('continue'),
});

export type BeforePushSection = z.output<typeof beforePushSchema>;

/** What OpenIM 2 appends to the URL: the name of the question, and the content type of its body. OpenIM 3 appends `/COMMAND`. */
const query = 'command=callbackBeforePushCommand&contenttype=json';

/** The questions of a handler. No handler can have the name of their queue, because names contain no colon. */
export function beforePushOf(handlerName: string, section: BeforePushSection, pool: PoolConfig): BeforePushConfig {
  const path = joinPath(pool.pathPrefix, section.path);
  return {
    queue: `${handlerName}:ask`,
    pool: pool.id,
    path: section.path,
    requestPath: section.form === 'openim-3' ? path : `${path}${path.includes('?') ? '&' : '?'}${query}`,
    form: section.form,
    timeoutMs: section.timeout,
    onFailure: section.on_failure,
  };
}

/** Questions contain message texts and JIDs, which must not cross a network unencrypted. */
export function warnOfPlainHttp({ origin, id }: PoolConfig, path: Path, reader: SectionReader): void {
  if (!URL.canParse(origin)) return; // a mistake, reported by the pool
  const { protocol, hostname } = new URL(origin);
  if (protocol === 'https:' || isLoopback(hostname.replace(/^\[|\]$/g, ''))) return;
  reader.notice(
    path,
    `the business server at ${origin} (pool ${id}) is asked over http, which can be read and changed in transit: use https`,
  );
}
