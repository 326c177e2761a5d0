import { ServiceError, toError } from '../../src/kit/errors.ts';
import { deepFreeze } from '../../src/kit/json.ts';
import { deliveryCallbacks, exportsOf, pick } from '../callback-exports.ts';
import type { DeliveryCallbacks, HandlerOpts } from '../callbacks.ts';
import type { SessionHandler } from '../contract.ts';
import { importProblem } from '../import-problem.ts';

/** A handler with callbacks at delivery, its module imported into this thread. */
export interface HandlerModule {
  readonly name: string;
  readonly opts: HandlerOpts;
  readonly callbacks: DeliveryCallbacks;
}

export type ImportModule = (url: string) => Promise<object>;

/**
 * Imports the modules of a pool's handlers, by the handlers' names. Throws CALLBACK_LOAD_FAILED, which tells of every
 * handler what is wrong with its module.
 */
export async function loadModules(
  handlers: readonly SessionHandler[],
  importModule: ImportModule = importHere,
): Promise<ReadonlyMap<string, HandlerModule>> {
  const loaded = new Map<string, HandlerModule>();
  const problems: string[] = [];

  for (const { name, url, opts } of handlers) {
    try {
      loaded.set(name, { name, opts: deepFreeze(opts), callbacks: pick(exportsOf(await importModule(url)), deliveryCallbacks) });
    } catch (thrown) {
      problems.push(`handler ${name} (${opts.callbackModule}): ${await importProblem(url, toError(thrown))}`);
    }
  }

  if (problems.length > 0) throw new ServiceError('CALLBACK_LOAD_FAILED', problems.join('\n'));
  return loaded;
}

/** A module may import `xmpp-event-pusher/callbacks` wherever it lies. */
async function importHere(url: string): Promise<object> {
  await import('../callbacks-specifier.ts');
  return import(url);
}
