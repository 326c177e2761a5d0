import type { Reading } from './reading.ts';
import { anything, section } from './schema/values.ts';
import { asTable, isTable, type Path, type Table } from './table.ts';

/** One handler's table, and where it stands. */
export interface HandlerTable {
  readonly value: Table;
  readonly path: Path;
}

/** What may stand in `modules` once MongooseIM's other modules and backends are set aside. */
const schema = section({
  mod_event_pusher: section({
    backend: section({ http: anything }).optional(),
    http: section({ handlers: anything }).optional(),
  }).optional(),
  mod_event_pusher_http: anything,
});

/**
 * Finds the handlers in all forms that MongooseIM has had: `mod_event_pusher.backend.http` (a table or a list),
 * `mod_event_pusher.http.handlers` (a list), and `mod_event_pusher_http` (a table or a list).
 */
export function handlerTables(modules: unknown, path: Path, reading: Reading): readonly HandlerTable[] {
  if (modules === undefined) return [];
  reading.read(schema, modules, path);

  const pusher = asTable(asTable(modules)['mod_event_pusher']);
  const pusherPath = [...path, 'mod_event_pusher'];
  return [
    ...oneOrMany(asTable(pusher['backend'])['http'], [...pusherPath, 'backend', 'http'], reading),
    ...oneOrMany(asTable(pusher['http'])['handlers'], [...pusherPath, 'http', 'handlers'], reading),
    ...oneOrMany(asTable(modules)['mod_event_pusher_http'], [...path, 'mod_event_pusher_http'], reading),
  ];
}

function oneOrMany(value: unknown, path: Path, reading: Reading): readonly HandlerTable[] {
  if (value === undefined) return [];
  if (isTable(value)) return [{ value, path }];
  if (!Array.isArray(value)) {
    reading.mistake(path, { expected: 'a handler’s table, or a list of them' });
    return [];
  }
  return value.flatMap((item: unknown, index) => {
    if (isTable(item)) return [{ value: item, path: [...path, index] }];
    reading.mistake([...path, index], { expected: 'a handler’s table' });
    return [];
  });
}
