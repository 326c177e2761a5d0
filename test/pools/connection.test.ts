import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Connection } from '../../pools/connection.ts';
import { createDial } from '../../pools/dial.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { makeThreadSettings } from '../support/make-job.ts';
import { startTarget } from '../support/target.ts';

const connectionTo = (origin: string) => new Connection(createDial(makeThreadSettings({ origin })));

function prepared(connection: Connection): Promise<Socket> {
  return new Promise((resolve, reject) => connection.prepare((error, socket) => (error === undefined ? resolve(socket) : reject(error))));
}

test('one that was dialled ahead stands until it is taken, and is taken once', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  expect(connection.standing).toBeUndefined();

  const socket = await prepared(connection);

  expect(connection.standing).toBe(socket);
  expect(connection.take()).toBe(socket);
  expect(connection.take()).toBeUndefined();
  expect(connection.standing).toBe(socket);
  connection.drop();
  expect(connection.standing).toBeUndefined();
});

test('one that the server ends stands no more, and is not taken', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  await prepared(connection);

  target.hangUp();
  await eventually(() => connection.standing === undefined);

  expect(connection.take()).toBeUndefined();
});

test('one that nobody takes ends by itself, but not while something is under way', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  const socket = await prepared(connection);

  for (let message = 0; message < 20; message += 1) {
    connection.rest();
    connection.keep();
  }
  expect([socket.timeout, socket.listenerCount('timeout')]).toEqual([0, 0]);
  connection.rest();
  expect([socket.timeout, socket.listenerCount('timeout')]).toEqual([4000, 1]);
  socket.emit('timeout');

  expect(connection.standing).toBeUndefined();
});

test('one that a client has taken is the client’s to end', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  const socket = await prepared(connection);

  connection.take();
  connection.rest();

  expect(socket.listenerCount('timeout')).toBe(0);
  connection.drop();
});

test('one that has reached its age ends when nothing is on it, at the latest at that age, and not all at one time', async () => {
  await using target = await startTarget();
  const clock = createFakeClock();
  const agesAfter = async (chance: number, ms: number) => {
    const connection = new Connection(createDial(makeThreadSettings({ origin: target.origin })), {
      ...{ clock, maxAgeMs: 1000, random: () => chance },
    });
    await prepared(connection);
    clock.advance(ms);
    connection.retire();
    const standing = connection.standing !== undefined;
    connection.drop();
    return standing;
  };

  expect([await agesAfter(0, 999), await agesAfter(0, 1000)]).toEqual([true, false]);
  expect([await agesAfter(0.5, 899), await agesAfter(0.5, 900)]).toEqual([true, false]);
  expect([await agesAfter(1, 799), await agesAfter(1, 800)]).toEqual([true, false]);
});
