import { createRequire } from 'node:module';
import { acceptCallbacks, deliveryCallbacks, exportsOf, gateCallbacks, importProblem, pick } from '../../pools/callback-modules.ts';
import type { Callbacks } from '../../pools/callbacks.ts';
import type { HandlerConfig } from '../config/config.ts';
import { ServiceError } from '../kit/errors.ts';
import { nearest } from '../kit/nearest.ts';
import * as cloudevents from './builtin/cloudevents.ts';
import * as defaults from './builtin/defaults.ts';
import * as json from './builtin/json.ts';
import { createHandler } from './create-handler.ts';
import { createGlobReader } from './globs.ts';
import type { BuiltIn, LoadedHandler } from './handler.ts';
import { importInTime } from './import-module.ts';

/**
 * Imports the callback modules of all handlers and returns the handlers in their order. Throws CALLBACK_LOAD_FAILED with the
 * problems of all modules. A module can import `xmpp-event-pusher/callbacks` from any folder.
 */
export async function loadHandlers(configs: readonly HandlerConfig[]): Promise<readonly LoadedHandler[]> {
  // Not for built-in modules: its thread adds a tenth of a second to a start.
  if (configs.some(({ module }) => module.kind !== 'builtin')) await import('../../pools/callbacks-specifier.ts');

  const readGlob = createGlobReader();
  const loaded: LoadedHandler[] = [];
  const problems: string[] = [];
  for (const config of configs) {
    const found = await importCallbacks(config.module);
    if ('callbacks' in found)
      loaded.push(createHandler(config, found.callbacks, { ...found, hasDeliveryCallbacks: isCalledAtDelivery(found), readGlob }));
    else problems.push(...found.problems.map((problem) => `handler ${config.name} (${config.callbackModule}): ${problem}`));
  }

  if (problems.length > 0) throw new ServiceError('CALLBACK_LOAD_FAILED', problems.join('\n'));
  return loaded;
}

function isCalledAtDelivery({ callbacks }: FoundCallbacks): boolean {
  return deliveryCallbacks.some((name) => name in callbacks);
}

async function importCallbacks(module: HandlerConfig['module']): Promise<FoundCallbacks | Problems> {
  if (module.kind === 'builtin') {
    const callbacks = builtins[module.name];
    return callbacks === undefined ? { problems: [`there is no built-in module ${module.name}`] } : { callbacks, uncalled: [] };
  }

  try {
    return callbacksIn(await importInTime(module.url));
  } catch (thrown) {
    return { problems: [await importProblem(module.url, thrown)] };
  }
}

const builtins: Readonly<Record<string, BuiltIn>> = {
  mod_event_pusher_http_cloudevents: cloudevents,
  mod_event_pusher_http_defaults: defaults,
  mod_event_pusher_http_json: json,
};

/** The callbacks of a module, and the names of its other named function exports, which are never called. */
interface FoundCallbacks {
  readonly callbacks: BuiltIn | Callbacks;
  readonly uncalled: readonly string[];
}

interface Problems {
  readonly problems: readonly string[];
}

/**
 * Finds the callbacks among the exports of a module: named exports, and the members of a default export that is an object (the
 * latter win). A misspelt callback would never be called, although it may be the one that prevents a push. So a module is refused
 * for each unknown function of its default export, and for each named function whose name is near that of a callback.
 */
export function callbacksIn(module: object): FoundCallbacks | Problems {
  const exported = exportsOf(module);
  const inDefault = exportsOf({ default: 'default' in module ? module.default : undefined });
  const problems: string[] = [];
  const uncalled: string[] = [];

  for (const [name, value] of exported) {
    if (known.includes(name)) {
      if (typeof value !== 'function') problems.push(`it exports ${name}, which is ${describe(value)} and not a function`);
      continue;
    }
    const intended = intendedName(name, value);
    if (intended !== undefined) problems.push(`it exports ${name}: did you mean ${intended}?`);
    else if (typeof value !== 'function') continue;
    else if (inDefault.has(name))
      problems.push(`its default export has the function ${name}, which is not a callback: remove it, or export it by name`);
    else uncalled.push(name);
  }
  if (problems.length === 0 && !known.some((name) => exported.has(name))) problems.push(noCallbackAmong([...exported.keys()]));

  return problems.length > 0 ? { problems } : { callbacks: pick(exported, known), uncalled };
}

const known: readonly string[] = [...acceptCallbacks, ...gateCallbacks, ...deliveryCallbacks];

function noCallbackAmong(names: readonly string[]): string {
  const exports = names.length === 0 ? 'it exports nothing' : `it exports ${names.join(', ')}`;
  return `${exports}, and none of the callbacks: ${known.join(', ')}`;
}

/** A callback name in another notation (`should_make_req`), for any value; or a function with a similar name (`shouldMakeRequest`). */
function intendedName(name: string, value: unknown): string | undefined {
  const sameLetters = known.find((callback) => fold(callback) === fold(name));
  return sameLetters ?? (typeof value === 'function' ? nearest(name, known) : undefined);
}

function fold(name: string): string {
  return name.replaceAll(/[_-]/g, '').toLowerCase();
}

function describe(value: unknown): string {
  return value === null ? 'null' : `of type ${typeof value}`;
}

/**
 * Returns the same handlers with module URLs that are not imported yet, also for modules that they import by path (see
 * `resolve-callbacks.ts`): an ES module is imported once for each URL, so the number of the reload is added to it. Packages are not
 * reloaded.
 */
export function withFreshModules(handlers: readonly HandlerConfig[], reload: number): readonly HandlerConfig[] {
  clearCommonJsCache();
  return handlers.map((handler) => {
    const { module } = handler;
    if (module.kind === 'builtin' || isInPackage(module.url)) return handler;
    return { ...handler, module: { kind: 'url', url: `${module.url}?reload=${reload}` } };
  });
}

/** CommonJS modules are cached by path, without the query of the URL. */
function clearCommonJsCache(): void {
  const { cache } = createRequire(import.meta.url);
  for (const path of Object.keys(cache)) if (!isInPackage(path)) delete cache[path];
}

function isInPackage(pathOrUrl: string): boolean {
  return pathOrUrl.includes('/node_modules/');
}
