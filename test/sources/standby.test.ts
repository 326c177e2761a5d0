import { describe, expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { chat, nodeAt, startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';

const sentByAlice = { dir: 'in', session: 'alice@localhost/phone' };

/** Notes how long is waited, and does not wait so long, if not told to; deadlines (10 s each) are as they are. */
function impatient({ longestMs = 5 } = {}) {
  const waits: number[] = [];
  const timers: Timers = {
    after: (ms, action) => {
      waits.push(ms);
      return systemTimers.after(ms === 10_000 ? ms : Math.min(ms, longestMs), action);
    },
  };
  return { timers, waits };
}

test('stands by while the tap feeds another pusher, asks every half a minute, and takes over when that has gone', async () => {
  const { timers, waits } = impatient();
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

test('one whose feed was taken by another finds that out by its acknowledgements, and stands by', async () => {
  const { timers } = impatient();
  await using chatServer = await startSource({ timers });
  const { server, states } = chatServer;
  await chatServer.attached();
  server.occupied = true;
  server.sendRaw("<iq type='error' id='ack-0' from='localhost' to='pusher.localhost'><error type='cancel'><item-not-found/></error></iq>");
  await eventually(() => states.some(({ state }) => state === 'standby'));
});

test('says at each resume which pusher it is', async () => {
  await using chatServer = await startSource({ timers: impatient().timers });
  const named = () => chatServer.server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['pusher'] ?? []);
  await chatServer.attached();
  chatServer.server.disconnect();
  await eventually(() => named().length >= 2);
  expect(new Set(named())).toEqual(new Set(['instance-1']));
});

const prosodyIsHere = await requirePackage('prosody');

describe.skipIf(!prosodyIsHere)('a Prosody that lets one connection of a component in', () => {
  test('keeps the second pusher standing by until the first has gone', async () => {
    await using prosody = await startProsody();
    const nodes = [nodeAt(prosody.componentPort)];
    const { timers } = impatient();
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

  test('with kick_old throws the first out, which waits long before it would throw out the other', async () => {
    await using prosody = await startProsody({ config: 'component_conflict_resolve = "kick_old"' });
    const nodes = [nodeAt(prosody.componentPort)];
    const { timers, waits } = impatient({ longestMs: 60_000 });
    await using first = await startSource({ attachment: { nodes }, timers });
    await first.attached();
    await using second = await startSource({ attachment: { nodes } });
    await second.attached();
    await eventually(() => first.states.some(({ state }) => state === 'refused'));
    expect(first.states.find(({ state }) => state === 'refused')?.reason).toContain('took the place of this one');
    expect(waits.at(-1)).toBe(30_000);
  });
});
