import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { handlerSchema } from '../../src/config/handler.ts';
import { lifeEvents } from '../../src/model/packet.ts';
import { kindOf } from '../../src/packet/kind.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { reportedLifeEvents } from '../conformance/tap-life.ts';

const page = read('docs/reference/rules.md');
const vocabulary = read('src/model/packet.ts');

describe('the page of rules lists the values that a `when` can name', () => {
  test('every kind, and no other value', () => {
    const listed = rows('kind').map(([name = '']) => name);
    const others = new Set(['iq', 'presence']); // they are kinds for callbacks, and events for rules
    expect(listed.toSorted()).toEqual(declared('Kind').filter((kind) => !others.has(kind)));
    for (const kind of listed) expect(handlerSchema.safeParse({ when: { kind } }).success, kind).toBe(true);
  });

  test('every event, and no other value', () => {
    const listed = rows('event').flatMap(([names = '']) => names.split(' '));
    const documented = declared('PacketEvent').filter((event) => event !== 'error'); // every feed omits errors
    expect(listed.toSorted()).toEqual([...documented, ...lifeEvents, 'offline'].toSorted());
    for (const event of listed) expect(handlerSchema.safeParse({ when: { event } }).success, event).toBe(true);
  });

  test('every life event with the servers whose tap reports it, as the tests of these taps have it', () => {
    const [events, ...servers] = transposed(rows('life event'));
    expect(events).toEqual(lifeEvents);
    const reported = servers.map((cells) => lifeEvents.filter((_, index) => cells[index] === 'yes'));
    expect(reported).toEqual(headings('life event').map((server) => reportedLifeEvents[server]));
    expect(new Set(servers.flat())).toEqual(new Set(['no', 'yes']));
  });

  test('every key', () => {
    const listed = rows('key').flatMap(([names = '']) => names.split(', '));
    expect(listed.toSorted()).toEqual(Object.keys(handlerSchema.shape.when.unwrap().shape).toSorted());
  });
});

const marks = rows('kind').flatMap(([kind = '', , by = '']) => [...by.matchAll(/<[^>]+>/g)].map(([mark]) => [kind, mark] as const));

test.each(marks)('the page of rules documents it as %s by %s', (kind, mark) => {
  expect(kindOf(parseStanza(`<message xmlns='jabber:client'>${mark}</message>`))).toBe(kind);
});

test('the page of rules lists the stronger of several marks first', () => {
  const kinds = new Set(marks.map(([kind]) => kind));
  expect(kinds.size).toBeGreaterThan(1);
  for (const kind of kinds) {
    const fromThere = marks.slice(marks.findIndex(([other]) => other === kind)).map(([, mark]) => mark);
    expect(kindOf(parseStanza(`<message xmlns='jabber:client'>${fromThere.toReversed().join('')}</message>`))).toBe(kind);
  }
});

/** The cells of the rows of the table whose first heading is `heading`, without backticks. */
function rows(heading: string): readonly (readonly string[])[] {
  const lines = page.split('\n');
  const from = lines.findIndex((line) => new RegExp(`^\\| ${heading} +\\|`).test(line)) + 2;
  const until = lines.findIndex((line, at) => at >= from && !line.startsWith('|'));
  return lines.slice(from, until).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('`', '').trim()),
  );
}

function headings(first: string): readonly string[] {
  const line = page.split('\n').find((each) => each.startsWith(`| ${first} `)) ?? '';
  return line
    .split('|')
    .slice(2, -1)
    .map((cell) => cell.trim());
}

function transposed(table: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return (table[0] ?? []).map((_, column) => table.map((row) => row[column] ?? ''));
}

/** The members of a union of string literals, in order. */
function declared(union: string): readonly string[] {
  const members = new RegExp(`export type ${union} =([^;]*);`).exec(vocabulary)?.[1] ?? '';
  return [...members.matchAll(/'([\w-]+)'/g)].map(([, name = '']) => name);
}

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}
