import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { carriesOutDecisions, delaysOnlyTheSender, survivesTheLossOfTheGate } from '../conformance/gate.ts';
import { eventually } from '../support/eventually.ts';
import { startGate } from '../support/gate.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyGate } from '../support/prosody-gate.ts';

const prosody = await prosodyGate();

carriesOutDecisions(prosody);
delaysOnlyTheSender(prosody);
survivesTheLossOfTheGate(prosody);

describe.skipIf(!prosody.isHere)('Prosody with the gate', () => {
  test.each([
    ['delivers', true],
    ['refuses', false],
  ])('%s a message whose session has ended during the question', async (_, allowed) => {
    const decision = createDeferred<boolean>();
    await using gate = await startGate({ gate: ({ packet }) => packet.text('body') === 'after' || decision.promise });
    await using chat = await startProsody({
      modules: ['event_pusher_gate'],
      config: `event_pusher_gate_url = "${gate.url}"\nevent_pusher_gate_timeout = 20`,
    });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using desk = await chat.connect({ user: 'alice', resource: 'desk' });
    await using bob = await chat.connect({ user: 'bob' });
    alice.sendChat(bob.bare, 'before');
    await gate.waits(1);
    await chat.shell(`c2s:close("${alice.jid}", "test")`);
    await eventually(async () => !(await chat.shell('c2s:show()')).includes(alice.jid));
    decision.resolve(allowed);
    await eventually(async () => {
      desk.sendChat(bob.bare, 'after');
      await bob.next((stanza) => stanza.text('body') === 'after');
      expect(bob.received.some((stanza) => stanza.text('body') === 'before')).toBe(allowed);
    });
    expect(chat.logs()).not.toContain('Traceback');
  });

  test.each([
    ['event_pusher_gate_url = "https://127.0.0.1/gate"', 'event_pusher_gate_url must be an http:// address'],
    ['event_pusher_gate_on_failure = "perhaps"', 'event_pusher_gate_on_failure must be "continue" or "refuse", not perhaps'],
  ])('is not loaded with %s, and logs the reason', async (config, reason) => {
    await using chat = await startProsody({ modules: ['event_pusher_gate'], config });
    await eventually(() => chat.logs().includes(reason));
  });
});
