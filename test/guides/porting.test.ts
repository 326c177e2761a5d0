/** The tables that translate the names of other products to ours. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { load } from '../config/write-config.ts';
import { readPage } from '../support/guide.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The code in the right column of the tables below a heading. */
function ours(page: string, heading: string): readonly string[] {
  const [, section = ''] = read(page).split(heading);
  const table = section.split('\n').filter((line, index, lines) => line.startsWith('|') && isFirstTable(lines, index));
  return table.slice(2).flatMap((row) => [...(row.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code));
}

function isFirstTable(lines: readonly string[], index: number): boolean {
  const begin = lines.findIndex((line) => line.startsWith('|'));
  return lines.slice(begin, index + 1).every((line) => line.startsWith('|'));
}

/** The names in a piece of code, without quoted texts. */
function namesIn(code: string): readonly string[] {
  return code.replace(/'[^']*'/g, '').match(/[A-Za-z_]\w+/g) ?? [];
}

test.each([
  [
    'docs/guides/mongooseim.md',
    '## Port a callback module',
    ['pools/accept-callbacks.ts', 'pools/callbacks.ts', 'src/model/packet.ts', 'src/model/delivery.ts', 'pools/contract.ts'],
    20,
  ],
  ['docs/guides/delivery-callbacks.md', "Equivalents of Momentum's C API:", ['pools/callbacks.ts'], 25],
  ['docs/guides/exits.md', '## Port an exit', ['pools/exits.ts'], 15],
])('the names in the porting table of %s are those of the code', (page, heading, sources, least) => {
  const declared = new Set(sources.flatMap((source) => read(source).match(/\w+/g) ?? []));
  const words = new Set([
    'await',
    'export',
    'default',
    'function',
    'exit',
    'session',
    'index',
    'part',
    'name',
    'value',
    'code',
    'body',
    'par',
  ]);
  const names = ours(page, heading)
    .flatMap(namesIn)
    .filter((name) => !words.has(name));
  expect(names.length).toBeGreaterThan(least);
  expect(names.filter((name) => !declared.has(name))).toEqual([]);
});

test('the TOML of the descriptor loads, with the operands of the statement', async () => {
  const page = readPage('docs/guides/exits.md');
  const toml = page.block('toml', 'ORDERS');
  const files = { 'order.mjs': 'export default () => undefined;', 'ordexit.mjs': 'export default () => undefined;' };
  const { attachments } = await load(`[general]\nhosts = ["localhost"]\n${toml}`, { files, env: { SHOP_PASSWORD: 'pw' } });
  const [front] = attachments;
  const [descriptor] = front?.type === 'exits' ? front.descriptors : [];
  expect(descriptor).toMatchObject({
    name: 'ORDERS',
    path: '/orders/*',
    tac: 'ORDER',
    userAuth: 'basic',
    convertText: true,
    listener: undefined,
  });
  expect(descriptor?.exit).toMatchObject({ kind: 'module', name: 'ordexit' });
  const statement = /^HTTP-DESCRIPTOR .*$/m.exec(read('docs/guides/exits.md'))?.[0] ?? '';
  for (const operand of ["PATH=C'/orders/*'", 'TAC=ORDER', 'CONVERT-TEXT=*YES', 'USER-AUTH=*BASIC', 'BCAMAPPL=*ALL'])
    expect(statement).toContain(operand);
});

test('the host in the example of SMSSync is refused by default, and accepted if it is listed', async () => {
  const handler = (allow: string) => `[general]\nhosts = ["localhost"]
    [outgoing_pools.http.http_pool.connection]\nhost = "http://127.0.0.1:8000"
    [modules.mod_event_pusher.backend.http]\nname = "push"\nfollow_up = { ${allow} }`;
  const [byDefault] = (await load(handler(''))).handlers;
  expect(byDefault?.followUp?.allow).toEqual(['127.0.0.1:8000']);
  const listed = /`(allow = \[[^`]*5984"\])`/.exec(read('docs/guides/follow-up.md'))?.[1] ?? '';
  expect((await load(handler(listed))).handlers[0]?.followUp?.allow).toEqual(['127.0.0.1:8000', '10.0.0.172:5984']);
});
