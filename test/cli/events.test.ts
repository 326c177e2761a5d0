/** The built command line, which finds, retries and drops events over the API of a listener. */
import { expect, test } from 'vitest';
import type { PacketFacts } from '../../src/model/packet.ts';
import { acceptedAt, makeDelivery, makeEntry } from '../spool/build.ts';
import { appendTo } from '../support/spool-promises.ts';
import { inUtc, startOperated } from './operate.ts';

const facts = JSON.stringify(['message', 'm1', 's1']) as PacketFacts;

async function startEvents() {
  const operated = await startOperated();
  await appendTo(operated.spool, makeEntry([makeDelivery({ id: 'w1', facts }), makeDelivery({ id: 'w2', handler: 'log' })]));
  await operated.die({ id: 'd1' }, { status: 410 });
  const left = async () => {
    const { stdout } = await operated.operate('events', 'list', '--json');
    return (JSON.parse(stdout) as { readonly id: string; readonly state: string }[]).map(({ id, state }) => `${id} ${state}`);
  };
  return { ...operated, left };
}

test('events list --json prints only documented fields, the newest last', async () => {
  const { operate } = await startEvents();
  const { code, stdout, stderr } = await operate('events', 'list', '--json', '--stanza-id', 'm1');
  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toEqual([
    {
      ...{ id: 'w1', packetId: 'packet-of-w1', messageId: 'm1', stanzaId: 's1', host: 'localhost', handler: 'push', pool: 'pool' },
      ...{ sender: 'alice@localhost', receiver: 'bob@localhost', kind: 'message', state: 'waiting', status: null, attempts: 0 },
      ...{ createdAt: new Date(acceptedAt).toISOString(), settledAt: null },
    },
  ]);
  const all = JSON.parse((await operate('events', 'list', '--json')).stdout);
  expect(all.at(-1)).toMatchObject({ id: 'd1', state: 'dead' });
});

test('events list prints a table, and takes a filter and a limit', async () => {
  inUtc();
  const { operate } = await startEvents();
  expect((await operate('events', 'list', '--state', 'dead', '--jid', 'bob@localhost')).stdout).toBe(`\
ID  TIME                 STATE          STATUS  TRIES
    HANDLER
    USERS
d1  2023-11-14 22:13:21  dead: refused     410      1
    push on pool at localhost
    alice@localhost to bob@localhost
`);
  const limited = await operate('events', 'list', '--limit', '1', '--state', 'waiting,dead');
  expect(limited.stdout).toContain('d1');
  expect(limited.stderr).toBe('The search ended at 1 event: older ones may match; see --limit and --before.\n');
  expect((await operate('events', 'list', '--since', '1m')).stdout).toBe('No events.\n');
});

test('events show prints an event, with its body on request', async () => {
  const { operate } = await startEvents();
  const shown = (await operate('events', 'show', 'w1', '--content')).stdout;
  for (const text of ['id m1, archive id s1, kind message', 'waiting', 'POST /notifications', 'body of w1']) expect(shown).toContain(text);
  expect(await operate('events', 'show', 'nothing')).toMatchObject({ code: 1, stderr: expect.stringContaining('no event "nothing"') });
});

test('events drop counts, needs --yes without a terminal, and drops', async () => {
  const { operate, left } = await startEvents();
  expect((await operate('events', 'drop', '--all', '--dry-run')).stdout).toBe('2 events would be dropped.\n');
  expect(await operate('events', 'drop', '--all')).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
  expect((await operate('events', 'drop', '--handler', 'log', '--yes')).stdout).toBe('1 event dropped.\n');
  expect(await left()).toEqual(['w1 waiting', 'd1 dead']);
});

test('events retry replays a dead event, and refuses an unknown one', async () => {
  const { operate, left } = await startEvents();
  expect(await operate('events', 'retry', 'nothing')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('nothing: not retried: there is no such event'),
  });
  expect((await operate('events', 'retry', '--state', 'dead', '--rate', '5')).stdout).toBe('1 event retried.\n');
  expect((await left()).sort()).toEqual(['d1 waiting', 'w1 waiting', 'w2 waiting']);
});

test('a selection is required, and --all excludes others', async () => {
  const { operate } = await startEvents();
  expect(await operate('events', 'retry')).toMatchObject({ code: 2, stderr: expect.stringContaining('--all') });
  expect(await operate('events', 'drop', '--all', '--jid', 'a@b', '--yes')).toMatchObject({ code: 2 });
  expect(await operate('events', 'list', '--status', 'x')).toMatchObject({ code: 2 });
});
