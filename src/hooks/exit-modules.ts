/** Users' modules for the exits of attachments: HTTP exits and program units. */
import { importProblem } from '../../pools/callback-modules.ts';
import type { Attachment, ExitsAttachment } from '../config/service-config.ts';
import { ServiceError } from '../kit/errors.ts';
import { CallbackCaller, type CallerOptions } from './call.ts';
import { importInTime } from './import-module.ts';

/** The default export of a user's module. */
export type UserFunction = (given: unknown) => unknown;

/** Imports the exits and program units of all attachments and returns them by URL. Throws CALLBACK_LOAD_FAILED with all problems. */
export async function loadExits(attachments: readonly Attachment[]): Promise<ReadonlyMap<string, UserFunction>> {
  return await loadModules(attachments.flatMap((attachment) => (attachment.type === 'exits' ? modulesOf(attachment) : [])));
}

function modulesOf({ name, descriptors }: ExitsAttachment): readonly NamedModule[] {
  return descriptors.flatMap((descriptor) => {
    const modules = [descriptor.exit, descriptor.unit].filter((part) => part.kind === 'module');
    return modules.map((module) => ({ url: module.url, usedBy: `descriptor ${descriptor.name} of ${name} (${module.name})` }));
  });
}

/** A module that must export a function by default. */
interface NamedModule {
  readonly url: string;
  /** Its place in the configuration, for error texts. */
  readonly usedBy: string;
}

/** A module can import `xmpp-event-pusher/callbacks` from any folder. Throws CALLBACK_LOAD_FAILED with the problems of all modules. */
export async function loadModules(modules: readonly NamedModule[]): Promise<ReadonlyMap<string, UserFunction>> {
  if (modules.length > 0) await import('../../pools/callbacks-specifier.ts');

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
    const { default: main } = (await importInTime(url)) as { readonly default?: unknown };
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

/** One call of an exit or of a program unit. */
interface ModuleCall {
  /** Attachment and descriptor. */
  readonly of: string;
  readonly what: 'exit' | 'unit';
  /** Id of the request. */
  readonly id: string;
  invoke(): unknown;
}

/** Calls exits and program units as callbacks are called: watched, timed, with a deadline. Rejects with CallbackFailure only. */
export function createModuleCaller(options: CallerOptions): (call: ModuleCall) => Promise<void> {
  const caller = new CallbackCaller(options);
  return async ({ of, what, id, invoke }) => {
    await caller.call({ handler: of, callback: what, packetKey: id, invoke, check: () => undefined });
  };
}
