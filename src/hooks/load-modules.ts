import { importProblem } from '../../pools/callback-modules.ts';
import { ServiceError } from '../kit/errors.ts';

/** A user's function: what it takes and gives is not known here. */
export type UserFunction = (given: unknown) => unknown;

/** A module that must export a function by default, and where the configuration names it. */
export interface NamedModule {
  readonly url: string;
  /** For people: `[attach.front] descriptor FORM, http_exit order-exit`. */
  readonly usedBy: string;
}

/**
 * Imports modules whose default export is a function: exits and program units. Throws CALLBACK_LOAD_FAILED, which tells of
 * all of them what is wrong. They may import `xmpp-event-pusher/callbacks` wherever they lie.
 */
export async function loadModules(modules: readonly NamedModule[]): Promise<ReadonlyMap<string, UserFunction>> {
  await import('../../pools/callbacks-specifier.ts');

  const loaded = new Map<string, UserFunction>();
  const problems: string[] = [];
  for (const { url, usedBy } of modules) {
    const found = await importFunction(url);
    if (typeof found === 'function') loaded.set(url, found);
    else problems.push(`${usedBy}: ${found.problem}`);
  }

  if (problems.length > 0) throw new ServiceError('CALLBACK_LOAD_FAILED', problems.join('\n'));
  return loaded;
}

async function importFunction(url: string): Promise<UserFunction | { readonly problem: string }> {
  try {
    const { default: main } = (await import(url)) as { readonly default?: unknown };
    if (isFunction(main)) return main;
    return {
      problem: `${url} exports ${main === undefined ? 'nothing' : `a value of type ${typeof main}`} by default, and must export a function`,
    };
  } catch (thrown) {
    return { problem: await importProblem(url, thrown) };
  }
}

function isFunction(value: unknown): value is UserFunction {
  return typeof value === 'function';
}
