import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { chatter, connectTapPusher, numbered } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

describe.skipIf(!prosody.isHere)('the counters of the tap for the operator of Prosody', () => {
  test('the shell shows a line for each host, or for the named host', async () => {
    await using prosody = await startProsody({ hosts: ['localhost', 'second.localhost'], config: 'event_pusher_tap_window = 2' });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(prosody.component);
    const { epoch = '' } = await pusher.ask();
    chatter(alice, ['one', 'two', 'three', 'four']);
    await numbered(pusher, 2);
    pusher.ack({ epoch, h: 1 });
    expect(await numbered(pusher, 1)).toEqual(['3 three']);

    const all = await prosody.shell('event_pusher_tap:info()');
    expect(all).toMatch(
      /^localhost: attached 1, queued 3, queued_bytes \d{3,4}, in_flight 2, sent 3, acknowledged 1, dropped 0, failed 0,/m,
    );
    expect(all).toContain(`epoch ${epoch}\n`);
    expect(all).toMatch(/^second.localhost: attached 0, queued 0, queued_bytes 0, in_flight 0, sent 0, /m);
    expect(all).toContain('OK: 2 tapped');
    expect(await prosody.shell('event_pusher_tap:info("second.localhost")')).not.toMatch(/^localhost:/m);
    await prosody.shell('module:unload("event_pusher_tap", "second.localhost")');
    await expect(prosody.shell('event_pusher_tap:info("second.localhost")')).rejects.toThrow('no tap is loaded there');
  });

  test('the server has metrics for each host', async () => {
    const config = 'statistics = "internal"\nstatistics_interval = "manual"\nevent_pusher_tap_queue_bytes = 600';
    await using prosody = await startProsody({ modules: ['http_openmetrics'], config });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(prosody.component);
    const { epoch = '' } = await pusher.ask();
    chatter(alice, ['one']);
    await numbered(pusher, 1);
    pusher.ack({ epoch, h: 1 });
    await pusher.ask({ epoch, h: 1 });
    await pusher.cut();
    await eventually(() => prosody.logs().includes('component disconnected: pusher.localhost'));
    alice.sendChat('bob@localhost', 'two');
    await alice.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');

    const metrics = await (await fetch(`http://127.0.0.1:${prosody.httpPort}/metrics`)).text();
    expect(metrics).toContain('# TYPE prosody_mod_event_pusher_tap__queued gauge');
    const values = [...metrics.matchAll(/^prosody_mod_event_pusher_tap__(\w+)\{host="localhost"\} ([\d.]+)/gm)].map(([, name, value]) => [
      name,
      Number(value),
    ]);
    expect(Object.fromEntries(values)).toMatchObject({
      attached: 0,
      queued: 1,
      in_flight: 0,
      sent_total: 1,
      acknowledged_total: 1,
      dropped_total: 1,
    });
  });

  test('stanzas that could not be tapped are counted', async () => {
    await using prosody = await startProsody();
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await prosody.shell('> os.date = function () error("no clock") end');
    chatter(alice, ['one', 'two']);
    await alice.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');

    expect(await prosody.shell('event_pusher_tap:info()')).toContain('failed 2,');
  });
});
