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

/** What a module exports by name, and what its default export holds where that is an object (the latter win). */
export function exportsOf(module: object): ReadonlyMap<string, unknown> {
  const { default: main, ...named } = module as { default?: unknown };
  const exported = new Map<string, unknown>(Object.entries(named));
  if (typeof main !== 'object' || main === null) return exported;
  for (const [name, value] of Object.entries(main)) exported.set(name, value);
  return exported;
}

/** Those of `names` that are exported. They must have been found to be functions; what they take and give is seen when they are called. */
export function pick(exported: ReadonlyMap<string, unknown>, names: readonly string[]): object {
  return Object.fromEntries(names.filter((name) => exported.has(name)).map((name) => [name, exported.get(name)]));
}
