/** The gate of the built service with a real Prosody. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { freePort, startTarget } from '../support/target.ts';

const isHere = await requirePackage('prosody');

const words = (unwanted: string) => `
export function gate({ packet }) {
  const text = packet.text('body');
  if (text === 'block') for (;;);
  return text === '${unwanted}' ? { refuse: 'Not ' + text + '.' } : { body: text.toUpperCase() };
}`;

/** Prosody with both modules, and the service with a gate and a backend. */
async function startRig(callbacks = '') {
  const gatePort = await freePort();
  const backend = await startTarget();
  const prosody = await startProsody({
    modules: ['event_pusher_gate'],
    config: `event_pusher_gate_url = "http://127.0.0.1:${gatePort}/gate"\nevent_pusher_gate_token = "s3same"\nevent_pusher_gate_timeout = 20`,
  });
  const config = plainConfig({
    componentPort: prosody.componentPort,
    backend: backend.origin,
    handlers: '[modules.mod_event_pusher.backend.http]\nname = "decider"\npath = "/notifications"\ncallback_module = "words"',
  });
  const gate = `[gate]\nlisten = "127.0.0.1:${gatePort}"\ntoken = "\${GATE_TOKEN}"\ntimeout = "10s"\n`;
  const pusher = await createPusher({
    config: config + gate + callbacks,
    files: { 'words.mjs': words('rude') },
    env: { GATE_TOKEN: 's3same' },
  });
  await pusher.start();
  const alice = await prosody.connect({ user: 'alice' });
  const bob = await prosody.connect({ user: 'bob' });
  const isMessage = ({ name }: { readonly name: string }) => name === 'message';
  return {
    pusher,
    /** The message that bob receives when alice sends this text. */
    reaches: async (body: string) => {
      alice.sendChat(bob.bare, body);
      return (await bob.next(isMessage)).text('body');
    },
    /** The message that alice receives when she sends this text. */
    comesBack: async (body: string) => {
      alice.sendChat(bob.bare, body);
      return (await alice.next(isMessage)).text('error', 'text');
    },
    pushed: () => backend.requests.map(({ body }) => new URLSearchParams(String(body)).get('message')),
    [Symbol.asyncDispose]: async () => {
      await alice.cut();
      await bob.cut();
      await pusher[Symbol.asyncDispose]();
      await prosody[Symbol.asyncDispose]();
      await backend.stop();
    },
  };
}

describe.skipIf(!isHere)('a message that Prosody holds', () => {
  test('is decided by the callback module, pushed as forwarded, and counted; a reload changes the module', async () => {
    await using rig = await startRig();
    expect(await rig.reaches('hello')).toBe('HELLO');
    expect(await rig.comesBack('rude')).toBe('Not rude.');
    await writeFile(join(rig.pusher.folder, 'words.mjs'), words('hello'));
    rig.pusher.signal('SIGHUP');
    await rig.pusher.said((line) => line.event === 'config.reload');
    expect(await rig.comesBack('hello')).toBe('Not hello.');
    expect(await rig.reaches('rude')).toBe('RUDE');

    await eventually(() => rig.pushed().length === 2);
    expect(rig.pushed()).toEqual(['HELLO', 'RUDE']);
    const { text } = await rig.pusher.get('/metrics');
    expect(text).toContain('event_pusher_gate_total{answer="changed"} 2\n');
    expect(text).toContain('event_pusher_gate_total{answer="refused"} 2\n');
    expect(text).toContain('event_pusher_gate_duration_seconds_count 4\n');
    expect(text).toContain('event_pusher_callback_duration_seconds_count{handler="decider",callback="gate"} 4\n');
    expect((await rig.pusher.get('/readyz')).text).not.toContain('gate');
  });

  test('is forwarded if the callback blocks the thread, which is named, and the gate recovers', async () => {
    await using rig = await startRig('[callbacks]\nblock_timeout = "500ms"\n');
    expect(await rig.reaches('block')).toBe('block');
    const blocked = await rig.pusher.said((line) => line.event === 'callback.blocked');
    expect(blocked['handler']).toBe('decider');
    await eventually(async () => expect(await rig.reaches('hello')).toBe('HELLO'));
  });
});
