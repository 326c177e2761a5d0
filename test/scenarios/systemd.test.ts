/** The built service as systemd runs it: it reports its states, and its watchdog. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startNotifySocket } from '../support/notify-socket.ts';
import { requirePackage } from '../support/packages.ts';
import { startPushRig } from '../support/push-rig.ts';
import { freePort } from '../support/target.ts';

describe.skipIf(!(await requirePackage('systemd', '/usr/bin/systemd-notify')))('with systemd-notify', () => {
  test('the service is ready for systemd although its chat server is down, feeds the watchdog, and says that it stops', async () => {
    await using socket = await startNotifySocket();
    const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '20000' };
    await using rig = await startPushRig(await freePort(), { started: false, env });
    rig.pusher.launch();
    await eventually(() => expect(socket.received).toEqual(expect.arrayContaining(['STATUS=running', 'READY=1', 'WATCHDOG=1'])));
    expect(await rig.pusher.stop()).toBe(0);
    await eventually(() => expect(socket.received.some((message) => message.startsWith('STOPPING=1'))).toBe(true));
    expect(rig.pusher.log.filter(({ event }) => event === 'systemd')).toEqual([]);
  });

  test('a service that cannot open its spool says so in its status', async () => {
    await using socket = await startNotifySocket();
    const spool = '[spool]\npath = "event-pusher.toml"';
    await using rig = await startPushRig(await freePort(), { started: false, spool, env: { NOTIFY_SOCKET: socket.path } });
    rig.pusher.launch();
    await eventually(() => expect(socket.received.find((message) => message.startsWith('STATUS=not running'))).toContain('damaged'));
    await eventually(() => expect(socket.received).toContain('READY=1'));
  });
});
