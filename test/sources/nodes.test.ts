import { expect, test } from 'vitest';
import { startTapServer, type TapServer } from '../../demo/tap-server.ts';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { Health } from '../../src/telemetry/health.ts';
import { chat, messages, nodeAt, type Setting, startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';

const sentByAlice = { dir: 'in', session: 'alice@localhost/phone' };
/** Shortens all waits except the deadlines of 10 s. */
const fast: Timers = { after: (ms, action) => systemTimers.after(ms === 10_000 ? ms : Math.min(ms, 5), action) };

/** A source attached to the nodes `a` and `b` of one chat server. */
async function startCluster({ names = ['a', 'b'], ...setting }: Setting & { readonly names?: readonly [string, string] } = {}) {
  const second = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret', node: names[1] });
  second.loseQueue('e2'); // no two queues share an epoch
  const source = await startSource({ ...setting, server: { node: names[0] }, others: [second] });
  const health = new Health({
    events: source.events,
    attachments: [{ name: 'chat', hosts: ['localhost'], nodes: [source.server, second].map(({ port }) => nodeAt(port)) }],
  });
  const troubles = () => health.checks().flatMap(({ name, reason, ready }) => (ready ? [] : [`${name}: ${reason}`]));
  return {
    ...source,
    servers: [source.server, second] as const,
    troubles,
    ready: () => eventually(() => troubles().length === 0),
    [Symbol.asyncDispose]: async () => {
      await source[Symbol.asyncDispose]();
      await second.close();
    },
  };
}

test('each node is read and acknowledged separately', async () => {
  await using cluster = await startCluster();
  const [a, b] = cluster.servers;
  await cluster.ready();
  a.push(chat('from a'), sentByAlice);
  b.push(chat('from b'), sentByAlice);
  b.push(chat('more from b'), sentByAlice);
  await eventually(() => a.acked === 1 && b.acked === 2);

  expect(cluster.bodies().toSorted()).toEqual(['from a', 'from b', 'more from b']);
  const marks = cluster.handed.map(({ receipt: { mark, stream } }) => [mark?.node, mark?.h, stream].join(' '));
  expect(marks.toSorted()).toEqual(['a 1 chat/localhost/a', 'b 1 chat/localhost/b', 'b 2 chat/localhost/b']);
  expect(cluster.skipped).toEqual([]);
});

test('items up to the marks of both nodes are duplicates after a restart', async () => {
  const mark = { attachment: 'chat', host: 'localhost' };
  await using cluster = await startCluster({
    marks: [
      { ...mark, node: 'a', epoch: 'e1', h: 1 },
      { ...mark, node: 'b', epoch: 'e2', h: 2 },
    ],
  });
  const [a, b] = cluster.servers;
  for (const body of ['one', 'two', 'three']) for (const server of [a, b]) server.push(chat(`${body} ${server.port}`), sentByAlice);
  await eventually(() => a.acked === 3 && b.acked === 3);
  expect(cluster.bodies().toSorted()).toEqual([`three ${a.port}`, `three ${b.port}`, `two ${a.port}`].toSorted());
  expect(cluster.holes).toEqual([]);
});

test('a node that is not attached is reported, and the others continue', async () => {
  await using cluster = await startCluster({ timers: fast });
  const [a, b] = cluster.servers;
  await cluster.ready();
  b.tapEnabled = false;
  b.disconnect();
  await eventually(() => cluster.troubles().some((trouble) => trouble.includes('has no tap')));
  expect(cluster.troubles()).toEqual([
    expect.stringContaining(`attachment chat, host localhost, node xmpp://127.0.0.1:${b.port}: refused`),
  ]);
  a.push(chat('meanwhile'), sentByAlice);
  await eventually(() => a.acked === 1);
  b.tapEnabled = true;
  await cluster.ready();
});

test('a new subscription goes to every node', async () => {
  await using cluster = await startCluster();
  const wants = (server: TapServer) => server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['want'] ?? []);
  await cluster.ready();
  cluster.source.resubscribe({ ...messages, want: 'message status' });
  await eventually(() => cluster.servers.every((server) => wants(server).at(-1) === 'message status'));
});

test('all nodes share one limit of uncommitted bytes', async () => {
  await using cluster = await startCluster({ commit: false, attachment: { maxUncommittedBytes: 100_000 } });
  const [a, b] = cluster.servers;
  await cluster.ready();
  const body = 'x'.repeat(1000);
  for (let pushed = 0; pushed < 500; pushed += 1) a.push(chat(body), sentByAlice);
  await eventually(() => cluster.source.uncommittedBytes > 100_000);
  const held = cluster.handed.length;
  b.push(chat('last'), sentByAlice);
  a.push(chat('pause'), sentByAlice);

  let committed = 0;
  await eventually(() => {
    while (committed < cluster.handed.length) cluster.handed[committed++]?.receipt.committed();
    return cluster.bodies().includes('last') && cluster.bodies().includes('pause');
  });
  expect(cluster.bodies().slice(0, held)).not.toContain('last');
  expect(cluster.source.uncommittedBytes).toBe(0);
});

test('the second of two nodes with one name waits, with a reason', async () => {
  await using cluster = await startCluster({ names: ['prosody', 'prosody'], timers: fast });
  await eventually(() => cluster.troubles().some((trouble) => trouble.includes('give each node a name of its own')));
  const refused = cluster.servers.find(({ port }) => cluster.troubles().join().includes(`node xmpp://127.0.0.1:${port}`));
  const other = cluster.servers.find((server) => server !== refused);
  if (refused === undefined || other === undefined) throw new Error('one of the two is refused');
  expect(cluster.troubles()).toEqual([
    expect.stringContaining(`localhost calls this node "prosody", and xmpp://127.0.0.1:${other.port} too`),
  ]);

  refused.push(chat('kept'), sentByAlice);
  other.push(chat('goes on'), sentByAlice);
  await eventually(() => other.acked === 1);
  expect(cluster.bodies()).toEqual(['goes on']);
  expect(refused.acked).toBe(0);

  await other.close();
  await eventually(() => refused.acked === 1);
  expect(cluster.bodies()).toEqual(['goes on', 'kept']);
});
