import { Secret } from '../kit/secret.ts';
import type { Config } from './config.ts';

/** The parts of the file that a running service cannot change, of those in which `next` differs from `running`. */
export function fixedDifferences(running: Config, next: Config): readonly string[] {
  const parts: readonly (readonly [name: string, of: (config: Config) => unknown])[] = [
    ['attach', ({ attachments }) => attachments],
    ['general.hosts', ({ hosts }) => hosts],
    ['callbacks', ({ callbacks }) => callbacks],
    ['spool', ({ spool }) => spool],
    ['admin', ({ admin }) => admin],
    ['gate', ({ gate }) => gate],
    ['metrics', ({ metrics }) => metrics],
    ['service', ({ drainTimeoutMs }) => drainTimeoutMs],
  ];
  return parts.filter(([, of]) => !same(of(running), of(next))).map(([name]) => name);
}

/** What `next` changes of pools, handlers and log level, in words: `pools added b, changed a; handlers removed x`. */
export function describeDifferences(running: Config, next: Config): string {
  const named = ({ handlers }: Config) => handlers.map(({ name, ...rest }) => ({ id: name, ...rest }));
  const differences = [
    describeList('pools', running.pools, next.pools),
    describeList('handlers', named(running), named(next)),
    running.logLevel === next.logLevel ? '' : `loglevel ${next.logLevel}`,
  ].filter((text) => text !== '');
  return differences.length === 0 ? 'nothing but what the callback modules hold' : differences.join('; ');
}

interface Named {
  readonly id: string;
}

function describeList(what: string, running: readonly Named[], next: readonly Named[]): string {
  const before = new Map(running.map((item) => [item.id, item]));
  const after = new Map(next.map((item) => [item.id, item]));
  const groups: readonly (readonly [verb: string, names: readonly string[]])[] = [
    ['added', [...after.keys()].filter((id) => !before.has(id))],
    ['removed', [...before.keys()].filter((id) => !after.has(id))],
    ['changed', [...after].filter(([id, item]) => before.has(id) && !same(before.get(id), item)).map(([id]) => id)],
  ];
  const told = groups.filter(([, names]) => names.length > 0).map(([verb, names]) => `${verb} ${names.join(' ')}`);
  return told.length === 0 ? '' : `${what} ${told.join(', ')}`;
}

/** Equal through and through; two secrets are when what they hold is. */
function same(one: unknown, other: unknown): boolean {
  if (one instanceof Secret && other instanceof Secret) return one.reveal() === other.reveal();
  if (!isObject(one) || !isObject(other)) return Object.is(one, other);
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Array.isArray(one) === Array.isArray(other) && [...keys].every((key) => same(one[key], other[key]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
