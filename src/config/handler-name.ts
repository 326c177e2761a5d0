import { createHash } from 'node:crypto';
import type { HandlerSection } from './schema/handler.ts';

/**
 * A handler's name: its own, or one that says pool and path and ends in a hash of pool, path and module. It stays the same
 * however handlers are reordered: deliveries on disk and metrics go by it.
 */
export function handlerName(handler: HandlerSection, writtenPath: string): string {
  if (handler.name !== undefined) return handler.name;

  const path = trimmedPath(writtenPath);
  const identity = JSON.stringify([handler.pool_name, path, handler.callback_module]);
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 8);
  return [slug(handler.pool_name), slug(path), hash].filter((part) => part !== '').join('-');
}

/** A path as handlers are told apart by it: MongooseIM takes a leading slash off. */
export function trimmedPath(path: string): string {
  return path.replace(/^\/+/, '');
}

function slug(text: string): string {
  return text
    .replace(/[^\w.]+/g, '-')
    .slice(0, 40)
    .replace(/^-+|-+$/g, '');
}
