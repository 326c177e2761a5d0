import type { Descriptor } from '../../../config/config.ts';

/** Finds the descriptor for a path on a listener; undefined: none is for it. */
export type Route = (listener: string, path: string) => Descriptor | undefined;

/** The longest path wins; an exact one before a prefix of its length. */
export function createRoute(descriptors: readonly Descriptor[]): Route {
  const byLength = [...descriptors].sort((one, other) => weight(other.path) - weight(one.path));
  return (listener, path) =>
    byLength.find((descriptor) => (descriptor.listener ?? listener) === listener && matches(descriptor.path, path));
}

function matches(pattern: string, path: string): boolean {
  return isPrefix(pattern) ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function weight(pattern: string): number {
  return isPrefix(pattern) ? pattern.length - 1 : pattern.length + 0.5;
}

function isPrefix(pattern: string): boolean {
  return pattern.endsWith('/*');
}
