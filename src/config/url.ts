import type { HandlerConfig, PoolConfig } from './config.ts';

/** Joins a pool's prefix and a handler's path with exactly one slash; an empty path adds nothing. Starts with `/`. */
export function joinPath(prefix: string, path: string): string {
  const start = `/${prefix.replace(/^\/+/, '')}`;
  return path === '' ? start : `${start.replace(/\/+$/, '')}/${path.replace(/^\/+/, '')}`;
}

/** The URL that a handler's default request goes to, or its question. */
export function effectiveUrl(pool: Pick<PoolConfig, 'origin'>, handler: Pick<HandlerConfig, 'requestPath'>): string {
  return `${pool.origin}${handler.requestPath}`;
}
