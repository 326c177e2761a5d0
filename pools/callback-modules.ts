/** Imports callback modules and reads their exports, in the service's thread and in pool threads. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { toError, userPositionIn } from '../src/kit/errors.ts';
import type { AcceptCallbacks, DeliveryCallbacks, GateCallbacks } from './callbacks.ts';

/** Called on accept, in the service's thread. */
export const acceptCallbacks = ['shouldMakeReq', 'prepareHeaders', 'prepareBody'] as const satisfies (keyof AcceptCallbacks)[];

/** Called while the chat server holds a message, in the service's thread. */
export const gateCallbacks = ['gate'] as const satisfies (keyof GateCallbacks)[];

/** Called at delivery, in the pool's thread. */
export const deliveryCallbacks = [
  'buildRequest',
  'handleResponse',
  'statusClassifier',
  'disposeDelivery',
  'disposeTempfail',
  'disposePermfail',
  'initSession',
  'destroySession',
  'resetSession',
  'resetRequest',
  'resetResponse',
] as const satisfies (keyof DeliveryCallbacks)[];

/** Imports a module, which may import `xmpp-event-pusher/callbacks` wherever it is located. */
export async function importModule(url: string): Promise<object> {
  await import('./callbacks-specifier.ts');
  return import(url);
}

/** The named exports of a module and the members of its default export, if that is an object; the latter take precedence. */
export function exportsOf(module: object): ReadonlyMap<string, unknown> {
  const { default: main, ...named } = module as { default?: unknown };
  const exported = new Map<string, unknown>(Object.entries(named));
  if (typeof main !== 'object' || main === null) return exported;
  for (const [name, value] of Object.entries(main)) exported.set(name, value);
  return exported;
}

/** The exports with these names, which the caller has checked to be functions. Arguments and results are checked at each call. */
export function pick(exported: ReadonlyMap<string, unknown>, names: readonly string[]): object {
  return Object.fromEntries(names.filter((name) => exported.has(name)).map((name) => [name, exported.get(name)]));
}

/** Describes why a module cannot be imported, with file and line if the error is in the user's code. */
export async function importProblem(url: string, thrown: unknown): Promise<string> {
  const error = toError(thrown);
  const position = error instanceof SyntaxError ? await syntaxErrorIn(url) : userPositionIn(error.stack ?? '');
  return `cannot import ${url}: ${error.name}: ${error.message}${position === undefined ? '' : ` (${position})`}`;
}

/** The location of a syntax error. A failed import does not contain it; `node --check` prints it and runs nothing. */
function syntaxErrorIn(url: string): Promise<string | undefined> {
  if (!url.startsWith('file:')) return Promise.resolve(undefined);
  const path = fileURLToPath(url);

  return new Promise((resolve) => {
    execFile(process.execPath, ['--check', path], (_failed, _stdout, stderr) => {
      const [first = ''] = stderr.split('\n');
      resolve(first.startsWith(`${path}:`) ? first : undefined);
    });
  });
}
