import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Connection, createDial } from '../../pools/connection.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { makeThreadSettings } from '../support/make-job.ts';
import { startTarget } from '../support/target.ts';

const connectionTo = (origin: string) => new Connection(createDial(makeThreadSettings({ origin })));

function prepared(connection: Connection): Promise<Socket> {
  return new Promise((resolve, reject) => connection.openAhead((error, socket) => (error === undefined ? resolve(socket) : reject(error))));
}

test('a connection that was opened ahead stays open until it is taken, and is taken once', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  expect(connection.current).toBeUndefined();

  const socket = await prepared(connection);

  expect(connection.current).toBe(socket);
  expect(connection.takeUnused()).toBe(socket);
  expect(connection.takeUnused()).toBeUndefined();
  expect(connection.current).toBe(socket);
  connection.destroy();
  expect(connection.current).toBeUndefined();
});

test('a connection that the server closes is not taken', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  await prepared(connection);

  target.hangUp();
  await eventually(() => connection.current === undefined);

  expect(connection.takeUnused()).toBeUndefined();
});

test('an unused connection closes after 4 s, except while it is held', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  const socket = await prepared(connection);

  for (let message = 0; message < 20; message += 1) {
    connection.release();
    connection.hold();
  }
  expect([socket.timeout, socket.listenerCount('timeout')]).toEqual([0, 0]);
  connection.release();
  expect([socket.timeout, socket.listenerCount('timeout')]).toEqual([4000, 1]);
  socket.emit('timeout');

  expect(connection.current).toBeUndefined();
});

test('a connection that an HTTP client has taken has no idle timer', async () => {
  await using target = await startTarget();
  const connection = connectionTo(target.origin);
  const socket = await prepared(connection);

  connection.takeUnused();
  connection.release();

  expect(socket.listenerCount('timeout')).toBe(0);
  connection.destroy();
});

test('an idle connection closes between 80 and 100 % of the maximum age', async () => {
  await using target = await startTarget();
  const clock = createFakeClock();
  const agesAfter = async (chance: number, ms: number) => {
    const connection = new Connection(createDial(makeThreadSettings({ origin: target.origin })), {
      ...{ clock, maxAgeMs: 1000, random: () => chance },
    });
    await prepared(connection);
    clock.advance(ms);
    connection.closeIfOld();
    const isOpen = connection.current !== undefined;
    connection.destroy();
    return isOpen;
  };

  expect([await agesAfter(0, 999), await agesAfter(0, 1000)]).toEqual([true, false]);
  expect([await agesAfter(0.5, 899), await agesAfter(0.5, 900)]).toEqual([true, false]);
  expect([await agesAfter(1, 799), await agesAfter(1, 800)]).toEqual([true, false]);
});
