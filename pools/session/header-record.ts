import type { HeaderPair } from '../../src/model/delivery.ts';

/**
 * Headers as a record in which case makes no difference: names are kept in lower case, the one set last counts, and the
 * values of a name that comes several times in `pairs` are joined (RFC 9110 §5.3).
 */
export function headerRecord(pairs: readonly HeaderPair[]): Record<string, string> {
  return new Proxy(joined(pairs), {
    get: (record, name) => Reflect.get(record, folded(name)),
    set: (record, name, value) => Reflect.set(record, folded(name), value),
    has: (record, name) => Reflect.has(record, folded(name)),
    deleteProperty: (record, name) => Reflect.deleteProperty(record, folded(name)),
  });
}

/** The same, as an ordinary record without a prototype. */
export function joined(pairs: readonly HeaderPair[]): Record<string, string> {
  const record: Record<string, string> = Object.create(null);
  for (const [name, value] of pairs) {
    const key = name.toLowerCase();
    const before = record[key];
    record[key] = before === undefined ? value : `${before}, ${value}`;
  }
  return record;
}

function folded(name: string | symbol): string | symbol {
  return typeof name === 'string' ? name.toLowerCase() : name;
}
