/**
 * A tap and a service of different versions: either may be upgraded first. The earlier taps are those of 2026-11-22, which do not know the
 * attribute `dir`, and report no fill level of their queue; the earlier service sends neither `dir` nor `report`, and no `max`.
 */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEjabberd } from '../support/ejabberd.ts';
import { compile, tapFolder, tapSources } from '../support/ejabberd-tap.ts';
import { requirePackage } from '../support/packages.ts';
import { type Prosody, startProsody } from '../support/prosody.ts';
import { type PushRig, startPushRig } from '../support/push-rig.ts';
import { answered, connectTapPusher, pinged } from '../support/tap-pusher.ts';

const reportsQueue = async ({ pusher }: PushRig) => (await pusher.get('/metrics')).text.includes('event_pusher_tap_queue_fill_ratio{');

const earlier = fileURLToPath(new URL('../fixtures/taps/mod_event_pusher_tap.2026-11-22.lua', import.meta.url));
const present = fileURLToPath(new URL('../../plugins/prosody/mod_event_pusher_tap.lua', import.meta.url));

describe.skipIf(!(await requirePackage('prosody')))('with Prosody', () => {
  let plugins = '';
  beforeAll(async () => {
    plugins = await mkdtemp(join(tmpdir(), 'plugins-'));
  });
  afterAll(() => rm(plugins, { recursive: true }));

  const startWith = async (tap: string): Promise<Prosody> => {
    await copyFile(tap, join(plugins, 'mod_event_pusher_tap.lua'));
    return startProsody({ plugins });
  };

  test('an earlier tap feeds this service, and is upgraded with the messages in its queue', async () => {
    await using prosody = await startWith(earlier);
    await using rig = await startPushRig(prosody.componentPort);
    await using alice = await prosody.connect({ user: 'alice' });
    alice.sendChat('bob@localhost', 'to the earlier tap');
    await rig.settled(1);
    expect(await rig.metric('event_pusher_tap_missed_total')).toBe(0);
    expect(await reportsQueue(rig)).toBe(false);

    expect(await rig.pusher.stop()).toBe(0);
    alice.sendChat('bob@localhost', 'in the queue of the earlier tap');
    await answered(alice);
    await copyFile(present, join(plugins, 'mod_event_pusher_tap.lua'));
    await prosody.shell('module:reload("event_pusher_tap", "localhost")');
    alice.sendChat('bob@localhost', 'to the upgraded tap');
    await rig.pusher.start();
    await rig.settled(2); // its counters start again at 0
    expect(rig.messages()).toEqual(['to the earlier tap', 'in the queue of the earlier tap', 'to the upgraded tap']);
    expect(await rig.metric('event_pusher_tap_queues_lost_total')).toBe(0);
    expect(await reportsQueue(rig)).toBe(true);
  });

  test('an earlier service gets both directions from this tap, and no answer to an acknowledgement that it accepts', async () => {
    await using prosody = await startWith(present);
    await using alice = await prosody.connect({ user: 'alice' });
    await using _bob = await prosody.connect({ user: 'bob' });
    await using service = await connectTapPusher(prosody.component);
    const { epoch = '', dropped } = await service.request({ epoch: '', h: 0, want: 'message presence iq', pusher: 'earlier' });
    expect(dropped).toBe('0');

    alice.sendChat('bob@localhost', 'first');
    alice.sendChat('bob@localhost', 'second');
    const items = [await service.item(), await service.item(), await service.item(), await service.item()];
    expect(items.map(({ seq, direction, stanza }) => `${seq} ${direction} ${stanza?.text('body')}`)).toEqual([
      '1 in first',
      '2 out first',
      '3 in second',
      '4 out second',
    ]);
    service.ack({ epoch, h: 3 });
    await pinged(service);
    expect(service.inbox.all.filter(({ name, attrs }) => name === 'iq' && attrs['type'] === 'error')).toEqual([]);

    const again = await service.request({ epoch, h: 3, want: 'message presence iq', pusher: 'earlier' });
    expect(again).toMatchObject({ epoch, 'from-seq': '4' });
    expect((await service.item()).seq).toBe(4);
  });
});

const earlierErlang = fileURLToPath(new URL('../fixtures/taps/mod_event_pusher_tap.2026-11-22.erl', import.meta.url));

describe.skipIf(!(await requirePackage('ejabberd', '/usr/sbin/ejabberdctl')))('with ejabberd', () => {
  let compiled = '';
  beforeAll(async () => {
    compiled = await mkdtemp(join(tmpdir(), 'compiled-'));
  });
  afterAll(() => rm(compiled, { recursive: true }));

  test('an earlier tap feeds this service, is upgraded with a restart, and then feeds an earlier service', async () => {
    await copyFile(earlierErlang, join(compiled, 'mod_event_pusher_tap.erl')); // named as the module
    await compile(join(compiled, 'mod_event_pusher_tap.erl'), compiled);
    const modules = { mod_event_pusher_tap: { component: 'pusher.localhost' } };
    await using ejabberd = await startEjabberd({ serviceLog: false, modules, codePaths: [compiled] });
    await using rig = await startPushRig(ejabberd.componentPort);
    const alice = await ejabberd.connect({ user: 'alice' });
    alice.sendChat('bob@localhost', 'to the earlier tap');
    await rig.settled(1);
    expect(await reportsQueue(rig)).toBe(false);

    await compile(join(tapFolder, tapSources), compiled);
    await ejabberd.restart();
    await using again = await ejabberd.connect({ user: 'alice' });
    again.sendChat('bob@localhost', 'to the upgraded tap');
    await rig.settled(2);
    expect(rig.messages()).toEqual(['to the earlier tap', 'to the upgraded tap']);
    expect(await rig.metric('event_pusher_tap_missed_total')).toBe(0);
    expect(await reportsQueue(rig)).toBe(true);

    expect(await rig.pusher.stop()).toBe(0);
    await using _bob = await ejabberd.connect({ user: 'bob' });
    await using service = await connectTapPusher(ejabberd.component);
    await service.request({ epoch: '', h: 0, want: 'message presence iq', pusher: 'earlier' });
    again.sendChat('bob@localhost', 'to an earlier service');
    const items = [...(await service.itemsUntil('to an earlier service')), await service.item()];
    expect(items.at(-1)).toMatchObject({ direction: 'out' });
  });
});
