import { importProblem } from '../../pools/callback-modules.ts';
import type { Callbacks } from '../../pools/callbacks.ts';
import type { Attachment, ExitsAttachment, HandlerConfig } from '../config/config.ts';
import { ServiceError } from '../kit/errors.ts';
import * as cloudevents from './builtin/cloudevents.ts';
import * as defaults from './builtin/defaults.ts';
import * as json from './builtin/json.ts';
import { callbacksIn, type FoundCallbacks } from './exports.ts';
import { createHandler, type LoadedHandler } from './handler.ts';
import { loadModules, type NamedModule, type UserFunction } from './load-modules.ts';

/**
 * Imports the modules of all handlers and gives the handlers in their order. Throws CALLBACK_LOAD_FAILED, which tells
 * of every handler what is wrong with its module. A module may import `xmpp-event-pusher/callbacks` wherever it lies.
 */
export async function loadHandlers(configs: readonly HandlerConfig[]): Promise<readonly LoadedHandler[]> {
  await import('../../pools/callbacks-specifier.ts');

  const loaded: LoadedHandler[] = [];
  const problems: string[] = [];
  for (const config of configs) {
    const found = await importCallbacks(config.module);
    if ('callbacks' in found) loaded.push(createHandler(config, found.callbacks, found.uncalled));
    else problems.push(...found.problems.map((problem) => `handler ${config.name} (${config.callbackModule}): ${problem}`));
  }

  if (problems.length > 0) throw new ServiceError('CALLBACK_LOAD_FAILED', problems.join('\n'));
  return loaded;
}

type Found = FoundCallbacks | { readonly problems: readonly string[] };

async function importCallbacks(module: HandlerConfig['module']): Promise<Found> {
  if (module.kind === 'builtin') {
    const callbacks = builtins[module.name];
    return callbacks === undefined ? { problems: [`there is no built-in module ${module.name}`] } : { callbacks, uncalled: [] };
  }

  try {
    return callbacksIn(await import(module.url));
  } catch (thrown) {
    return { problems: [await importProblem(module.url, thrown)] };
  }
}

/** Imports the exits and program units of all attachments and gives them by their URLs. Throws CALLBACK_LOAD_FAILED, likewise. */
export async function loadExits(attachments: readonly Attachment[]): Promise<ReadonlyMap<string, UserFunction>> {
  return await loadModules(attachments.flatMap((attachment) => (attachment.type === 'exits' ? modulesOf(attachment) : [])));
}

function modulesOf({ name, descriptors }: ExitsAttachment): readonly NamedModule[] {
  return descriptors.flatMap((descriptor) => {
    const modules = [descriptor.exit, descriptor.unit].filter((part) => part.kind === 'module');
    return modules.map((module) => ({ url: module.url, usedBy: `descriptor ${descriptor.name} of ${name} (${module.name})` }));
  });
}

const builtins: Readonly<Record<string, Callbacks>> = {
  mod_event_pusher_http_cloudevents: cloudevents,
  mod_event_pusher_http_defaults: defaults,
  mod_event_pusher_http_json: json,
};
