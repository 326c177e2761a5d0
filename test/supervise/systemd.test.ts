import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { SystemdNotifier } from '../../src/supervise/systemd.ts';
import { eventually } from '../support/eventually.ts';
import { startNotifySocket } from '../support/notify-socket.ts';
import { requirePackage } from '../support/packages.ts';
import { createSteppedTimers } from '../support/stepped-timers.ts';

describe.skipIf(!(await requirePackage('systemd', '/usr/bin/systemd-notify')))('with systemd-notify', () => {
  test('messages arrive in their order, each status in one line', async () => {
    await using socket = await startNotifySocket();
    const { notifier } = createRig({ NOTIFY_SOCKET: socket.path });
    void notifier.ready();
    void notifier.status('not running:\n the disk\tis full');
    await notifier.stopping();
    await eventually(() =>
      expect(socket.received).toEqual([
        'READY=1',
        'STATUS=not running: the disk is full',
        'STOPPING=1 STATUS=stopping: requests in flight finish',
      ]),
    );
  });

  test('the watchdog is fed while the service responds, and no longer when it does not', async () => {
    await using socket = await startNotifySocket();
    const hung = createDeferred<void>();
    const responses = [Promise.resolve(), Promise.resolve(), hung.promise];
    let asked = 0;
    const { notifier, timers } = createRig({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '60000000', WATCHDOG_PID: '42' }, () => {
      asked += 1;
      return responses.shift() ?? Promise.resolve();
    });
    await notifier.ready();
    const fed = () => socket.received.filter((message) => message === 'WATCHDOG=1').length;
    for (const times of [1, 2]) {
      await eventually(() => expect(fed()).toBe(times));
      await eventually(() => {
        timers.step();
        return asked === times + 1;
      });
    }
    await notifier.status('hung');
    await eventually(() => expect(socket.received.at(-1)).toBe('STATUS=hung'));
    expect(fed()).toBe(2);

    hung.resolve();
    await eventually(() => expect(fed()).toBe(3));
    notifier.stopped();
  });

  test('a process that inherits the environment of the service keeps no watchdog', async () => {
    await using socket = await startNotifySocket();
    const { notifier } = createRig({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }, () => {
      throw new Error('asked');
    });
    await notifier.ready();
    await eventually(() => expect(socket.received).toEqual(['READY=1']));
  });
});

test('without systemd nothing is sent', async () => {
  const { notifier, faults } = createRig({ PATH: '/nonexistent' });
  await notifier.ready();
  expect(faults).toEqual([]);
});

test('a missing systemd-notify is reported once', async () => {
  const { notifier, faults } = createRig({ NOTIFY_SOCKET: '/nonexistent/notify', PATH: '/nonexistent' });
  await notifier.ready();
  await notifier.status('running');
  expect(faults).toEqual([expect.stringContaining('systemd-notify cannot be run')]);
});

function createRig(environment: Readonly<Record<string, string>>, responds = () => Promise.resolve()) {
  const faults: string[] = [];
  const timers = createSteppedTimers();
  const notifier = new SystemdNotifier({
    environment: { PATH: process.env['PATH'], ...environment },
    pid: 42,
    timers,
    responds,
    onFault: (reason) => faults.push(reason),
  });
  return { notifier, timers, faults };
}
