import { acceptCallbacks, deliveryCallbacks, exportsOf, gateCallbacks, pick } from '../../pools/callback-modules.ts';
import type { Callbacks } from '../../pools/callbacks.ts';
import { nearest } from '../kit/nearest.ts';

/** A module's callbacks, and the functions that it exports by name and that are none: they are never called. */
export interface FoundCallbacks {
  readonly callbacks: Callbacks;
  readonly uncalled: readonly string[];
}

/**
 * Finds the callbacks among a module's exports: named ones, and those of a default export that is an object (the latter
 * win). A function that looks like a callback and is none would never be called, though it may be what was to keep something
 * from being pushed. So a module is refused for each unknown function of its default export, and for each that it exports
 * by a name near a callback's.
 */
export function callbacksIn(module: object): FoundCallbacks | { readonly problems: readonly string[] } {
  const exported = exportsOf(module);
  const inDefault = exportsOf({ default: 'default' in module ? module.default : undefined });
  const problems: string[] = [];
  const uncalled: string[] = [];

  for (const [name, value] of exported) {
    if (known.includes(name)) {
      if (typeof value !== 'function') problems.push(`it exports ${name}, which is ${describe(value)} and not a function`);
      continue;
    }
    const meant = meantBy(name, value);
    if (meant !== undefined) problems.push(`it exports ${name}: did you mean ${meant}?`);
    else if (typeof value !== 'function') continue;
    else if (inDefault.has(name))
      problems.push(`its default export has the function ${name}, which is no callback: take it out, or export it by name`);
    else uncalled.push(name);
  }
  if (problems.length === 0 && !known.some((name) => exported.has(name))) problems.push(noneOf([...exported.keys()]));

  return problems.length > 0 ? { problems } : { callbacks: pick(exported, known), uncalled };
}

const known: readonly string[] = [...acceptCallbacks, ...gateCallbacks, ...deliveryCallbacks];

function noneOf(names: readonly string[]): string {
  const exports = names.length === 0 ? 'it exports nothing' : `it exports ${names.join(', ')}`;
  return `${exports}, and none of the callbacks: ${known.join(', ')}`;
}

/** Written otherwise (`should_make_req`), whatever the value is; or a function with a name that is near (`shouldMakeRequest`). */
function meantBy(name: string, value: unknown): string | undefined {
  const written = known.find((callback) => fold(callback) === fold(name));
  return written ?? (typeof value === 'function' ? nearest(name, known) : undefined);
}

function fold(name: string): string {
  return name.replaceAll(/[_-]/g, '').toLowerCase();
}

function describe(value: unknown): string {
  return value === null ? 'null' : `of type ${typeof value}`;
}
