/** Messages to users ordered by a backend, through a real Prosody. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { startPushRig } from '../support/push-rig.ts';
import type { LogLine } from '../support/pusher.ts';

const hasProsody = await requirePackage('prosody');

const handlers = `
[modules.mod_event_pusher.backend.http]
path = "/notifications"
[modules.mod_event_pusher.backend.http.follow_up]
reply_from = "bot@pusher.localhost"
`;

/** Orders a message of thanks to the sender of any message. */
const thankful = ({ body }: { readonly body: Buffer }) => {
  const form = new URLSearchParams(body.toString());
  const messages = ['one', 'two', 'three'].map((word) => ({ to: form.get('author'), message: `${form.get('message')}: ${word}` }));
  return { kind: 'answer', body: JSON.stringify({ payload: { success: true, task: 'send', messages } }) } as const;
};

describe.skipIf(!hasProsody)('a backend that answers users', () => {
  test('is received by their clients in order, and is not pushed again', async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { handlers, script: thankful });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    alice.sendChat('nobody@localhost', 'Hi');
    for (const word of ['one', 'two', 'three']) {
      const reply = await alice.next((stanza) => stanza.text('body').startsWith('Hi: '));
      expect([reply.text('body'), reply.attrs['from'], reply.attrs['type']]).toEqual([`Hi: ${word}`, 'bot@pusher.localhost', 'chat']);
    }
    await eventually(
      async () => (await rig.metric('event_pusher_deliveries_total{pool="follow_up_messages",disposition="delivered"}')) === 3,
    );
    alice.sendChat('nobody@localhost', 'Bye');
    await rig.backend.received(2);
    expect(rig.messages()).toEqual(['Hi', 'Bye']);
  });

  test('is received after an outage of the chat server, without spent attempts', async () => {
    await using prosody = await startProsody({ modules: ['offline'] });
    let answer: () => void = () => undefined;
    const away = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const script = async (request: { readonly body: Buffer }) => {
      await away;
      return thankful(request);
    };
    await using rig = await startPushRig(prosody.componentPort, { handlers, script, attachment: 'reconnect_max = "1s"' });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    alice.sendChat('nobody@localhost', 'Hi');
    await rig.backend.received(1);
    await prosody.stop();
    answer();
    await eventually(async () => (await rig.metric('event_pusher_accepted_total{pool="follow_up_messages"}')) === 3);
    await prosody.start();

    await using again = await prosody.connect({ user: 'alice', resource: 'phone' });
    for (const word of ['one', 'two', 'three']) {
      const reply = await again.next((stanza) => stanza.text('body').startsWith('Hi: '));
      expect(reply.text('body')).toBe(`Hi: ${word}`);
    }
    await eventually(
      async () => (await rig.metric('event_pusher_deliveries_total{pool="follow_up_messages",disposition="delivered"}')) === 3,
    );
    const isMessage = (line: LogLine) => line['pool'] === 'follow_up_messages';
    expect(await rig.pusher.logged('attempt.ended', 3, isMessage)).toHaveLength(3);
  });
});
