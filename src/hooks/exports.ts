import { acceptCallbacks, deliveryCallbacks, exportsOf, gateCallbacks, pick } from '../../pools/callback-exports.ts';
import type { Callbacks } from '../../pools/callbacks.ts';

/**
 * Finds the callbacks among a module's exports: named ones, and those of a default export that is an object (the latter
 * win). What else a module exports is its own business, except where it looks like a callback that will never be called.
 */
export function callbacksIn(module: object): { readonly callbacks: Callbacks } | { readonly problems: readonly string[] } {
  const exported = exportsOf(module);
  const problems: string[] = [];

  for (const [name, value] of exported) {
    const meant = known.find((callback) => fold(callback) === fold(name));
    if (meant === undefined) continue;
    if (meant !== name) problems.push(`it exports ${name}: did you mean ${meant}?`);
    else if (typeof value !== 'function') problems.push(`it exports ${name}, which is ${describe(value)} and not a function`);
  }
  if (problems.length === 0 && !known.some((name) => exported.has(name))) problems.push(noneOf([...exported.keys()]));

  return problems.length > 0 ? { problems } : { callbacks: pick(exported, known) };
}

const known: readonly string[] = [...acceptCallbacks, ...gateCallbacks, ...deliveryCallbacks];

function noneOf(names: readonly string[]): string {
  const exports = names.length === 0 ? 'it exports nothing' : `it exports ${names.join(', ')}`;
  return `${exports}, and none of the callbacks: ${known.join(', ')}`;
}

/** `should_make_req` and `ShouldMakeReq` are what somebody writes who means `shouldMakeReq`. */
function fold(name: string): string {
  return name.replaceAll(/[_-]/g, '').toLowerCase();
}

function describe(value: unknown): string {
  return value === null ? 'null' : `of type ${typeof value}`;
}
