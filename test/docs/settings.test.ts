/** docs/reference/settings.md against the schemas of the configuration: the same keys, the same defaults. */
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { componentSchema } from '../../src/config/attachments.ts';
import { clientSchema } from '../../src/config/client.ts';
import { exitsSchema } from '../../src/config/exits.ts';
import { handlerSchema } from '../../src/config/handler.ts';
import { historySchema } from '../../src/config/history.ts';
import { httpSchema } from '../../src/config/mongooseim-posts.ts';
import { poolSchema } from '../../src/config/pool.ts';
import {
  adminSchema,
  callbacksSchema,
  gateSchema,
  generalSchema,
  logSchema,
  metricsSchema,
  rootSchema,
  serviceSchema,
} from '../../src/config/service.ts';
import { spoolSchema } from '../../src/config/spool.ts';
import { readPage } from '../support/guide.ts';

/** The schema behind each heading, and the tables in it that another section or page describes. */
const sections: readonly { readonly heading: string; readonly schema: z.ZodObject; readonly elsewhere?: readonly string[] }[] = [
  { heading: '`[general]`', schema: generalSchema },
  { heading: '`[attach.NAME]` with `type = "component"`', schema: componentSchema },
  { heading: '`[attach.NAME]` with `type = "client"`', schema: clientSchema, elsewhere: ['tls'] },
  { heading: '`[attach.NAME]` with `type = "http"`', schema: httpSchema, elsewhere: ['rate_limit'] },
  { heading: '`[attach.NAME]` with `type = "http"` and descriptors', schema: exitsSchema, elsewhere: ['rate_limit'] },
  { heading: '`[outgoing_pools.http.NAME]`', schema: poolSchema },
  { heading: '`[[modules.mod_event_pusher.backend.http]]`', schema: handlerSchema, elsewhere: ['when'] },
  { heading: '`[callbacks]`', schema: callbacksSchema },
  { heading: '`[spool]`', schema: spoolSchema },
  { heading: '`[history]`', schema: historySchema },
  { heading: '`[log]`', schema: logSchema },
  { heading: '`[admin]`', schema: adminSchema },
  { heading: '`[gate]`', schema: gateSchema },
  { heading: '`[metrics]`', schema: metricsSchema },
  { heading: '`[service]`', schema: serviceSchema },
];

const { text } = readPage('docs/reference/settings.md');

describe.each(sections)('the settings under $heading', ({ heading, schema, elsewhere = [] }) => {
  const listed = rowsBelow(heading);
  const declared = leavesOf(schema, elsewhere);

  test('are the keys of the schema', () => {
    expect(listed.map(([key]) => key)).toEqual(declared.map(([key]) => key));
  });

  test('have the defaults of the schema', () => {
    for (const [index, [key, leaf]] of declared.entries()) {
      const [, shown = ''] = listed[index] ?? [];
      const without = leaf.safeParse(undefined);
      if (!without.success) expect(shown, key).toBe('required');
      else if (without.data === undefined) expect(shown, key).toBe('–');
      else expect(leaf.parse(parse(`value = ${shown}`)['value']), key).toEqual(without.data);
    }
  });
});

test('the settings have a section for each table of the file', () => {
  const headings = [...text.matchAll(/^## `\[+(\w+)/gm)].map(([, name]) => name);
  expect([...new Set(headings)].toSorted()).toEqual(Object.keys(rootSchema.shape).toSorted());
});

/** The keys of a table with the schemas of their values; those of a table in it follow its name and a dot. */
function leavesOf(schema: z.ZodObject, elsewhere: readonly string[], prefix = ''): readonly (readonly [key: string, leaf: z.ZodType])[] {
  return Object.entries(schema.shape as Record<string, z.ZodType>).flatMap(([name, value]) => {
    const inner = elsewhere.includes(name) ? undefined : tableIn(value);
    if (inner === undefined) return [[prefix + name, value] as const];
    return leavesOf(inner, [], `${prefix}${name}${value instanceof z.ZodArray ? '[]' : ''}.`);
  });
}

/** The table that a value is, if it is one: behind its default, in a list, or what a shorter form is read into. */
function tableIn(schema: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) return tableIn(schema.unwrap());
  if (schema instanceof z.ZodArray) return tableIn(schema.element);
  return schema instanceof z.ZodPipe ? tableIn(schema.def.out) : undefined;
}

/** The first two cells of each row of the table below a heading. */
function rowsBelow(heading: string): readonly (readonly [key: string, shown: string])[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^\| `([^`]+)` +\| ([^|]+?) +\|/gm)].map(([, key = '', shown = '']) => [key, shown.replaceAll('`', '')]);
}
