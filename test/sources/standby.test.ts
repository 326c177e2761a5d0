import { describe, expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import { chat, nodeAt, startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';

const sentByAlice = { dir: 'in', session: 'alice@localhost/phone' };

/** Records the waits, and shortens all of them to `longestMs` except the deadlines of 10 s. */
function shortTimers({ longestMs = 5 } = {}) {
  const waits: number[] = [];
  const timers: Timers = {
    after: (ms, action) => {
      waits.push(ms);
      return systemTimers.after(ms === 10_000 ? ms : Math.min(ms, longestMs), action);
    },
  };
  return { timers, waits };
}

test('is on standby while the tap feeds another pusher, retries every 30 s, and takes over when the other has gone', async () => {
  const { timers, waits } = shortTimers();
  await using chatServer = await startSource({ timers, attachment: { pingIntervalMs: 77_000 } });
  const { server, states } = chatServer;
  await chatServer.attached();
  const waitedBefore = waits.length;
  server.occupied = true;
  server.disconnect();
  const standbys = () => states.filter(({ state }) => state === 'standby');
  await eventually(() => standbys().length >= 2);
  expect(standbys()[0]).toMatchObject({ host: 'localhost', reason: 'localhost feeds another pusher' });
  expect(waits.slice(waitedBefore)).toContain(30_000);

  server.push(chat('waiting'), sentByAlice);
  server.occupied = false;
  await eventually(() => chatServer.bodies().includes('waiting'));
  expect(states.at(-1)).toMatchObject({ host: 'localhost', state: 'attached' });
});

test('a pusher whose feed was taken over detects it by the error to an acknowledgement', async () => {
  const { timers } = shortTimers();
  await using chatServer = await startSource({ timers });
  const { server, states } = chatServer;
  await chatServer.attached();
  server.occupied = true;
  server.sendRaw("<iq type='error' id='ack-0' from='localhost' to='pusher.localhost'><error type='cancel'><item-not-found/></error></iq>");
  await eventually(() => states.some(({ state }) => state === 'standby'));
});

test('asks again as soon as the feed is free, and stands by at once if its acknowledgement is refused with conflict', async () => {
  await using chatServer = await startSource();
  const { server, states } = chatServer;
  await chatServer.attached();
  server.occupied = true;
  server.sendRaw("<iq type='error' id='ack-0' from='localhost' to='pusher.localhost'><error type='wait'><conflict/></error></iq>");
  await eventually(() => states.at(-1)?.state === 'standby');
  server.occupied = false;
  server.sendRaw(`<iq type='set' id='free' from='localhost' to='pusher.localhost'><free xmlns='${tapNs}'/></iq>`);
  await eventually(() => states.at(-1)?.state === 'attached');
});

test('shows that it is alive while it does not read, until it reads again', async () => {
  const { timers } = shortTimers();
  await using chatServer = await startSource({ timers, commit: false, attachment: { maxUncommittedBytes: 1, pingIntervalMs: 77_000 } });
  const { server, handed } = chatServer;
  const signs = () => server.received.filter(({ attrs }) => attrs['id'] === 'alive');
  await chatServer.attached();
  server.push(chat('too much'), sentByAlice);
  await eventually(() => signs().length >= 2);
  expect(signs()[0]?.attrs).toEqual({ type: 'result', id: 'alive', from: 'pusher.localhost', to: 'localhost' });

  for (const { receipt } of handed) receipt.committed();
  server.push(chat('read again'), sentByAlice);
  await eventually(() => chatServer.bodies().includes('read again'));
});

test('identifies itself in each resume', async () => {
  await using chatServer = await startSource({ timers: shortTimers().timers });
  const named = () => chatServer.server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['pusher'] ?? []);
  await chatServer.attached();
  chatServer.server.disconnect();
  await eventually(() => named().length >= 2);
  expect(new Set(named())).toEqual(new Set(['instance-1']));
});

const prosodyIsHere = await requirePackage('prosody');

describe.skipIf(!prosodyIsHere)('a Prosody that accepts one connection of a component', () => {
  test('keeps the second pusher on standby until the first has gone', async () => {
    await using prosody = await startProsody();
    const nodes = [nodeAt(prosody.componentPort)];
    const { timers } = shortTimers();
    const first = await startSource({ attachment: { nodes } });
    await first.attached();
    await using second = await startSource({ attachment: { nodes }, timers });
    await eventually(() => second.states.some(({ state }) => state === 'standby'));
    expect(second.states.find(({ state }) => state === 'standby')).toMatchObject({ host: '', attachment: 'chat' });
    expect(second.states.find(({ state }) => state === 'standby')?.reason).toContain('another connection holds pusher.localhost');
    expect(first.states.some(({ state }) => state === 'offline')).toBe(false);

    await first[Symbol.asyncDispose]();
    await second.attached();
  });

  test('with kick_old closes the first connection, which waits 30 s before it reconnects', async () => {
    await using prosody = await startProsody({ config: 'component_conflict_resolve = "kick_old"' });
    const nodes = [nodeAt(prosody.componentPort)];
    const { timers, waits } = shortTimers({ longestMs: 60_000 });
    await using first = await startSource({ attachment: { nodes }, timers });
    await first.attached();
    await using second = await startSource({ attachment: { nodes } });
    await second.attached();
    await eventually(() => first.states.some(({ state }) => state === 'refused'));
    expect(first.states.find(({ state }) => state === 'refused')?.reason).toContain('took the place of this one');
    expect(waits.at(-1)).toBe(30_000);
  });
});
