import { describe, expect, test } from 'vitest';
import {
  type FinalResult,
  MessageCarrier,
  type MessageRoute,
  MessageRouter,
  type MessageSender,
} from '../../../src/delivery/follow-up/message-carrier.ts';
import { createDeferred, type Deferred } from '../../../src/kit/lifecycle.ts';
import type { OutgoingMessage, XmppTarget } from '../../../src/model/delivery.ts';
import { makeDelivery } from '../../spool/build.ts';
import { startDeliveryRig } from '../../support/delivery-rig.ts';
import { eventually } from '../../support/eventually.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createFakeTimers } from '../../support/fake-timers.ts';
import { claimFrom } from '../../support/spool-promises.ts';

const toBob: XmppTarget = { kind: 'xmpp', from: 'bot@localhost', to: 'bob@localhost' };

/** A pool of messages, and a sender that answers when the test says so; it rejects when it is aborted. */
async function startRig() {
  const sends: { readonly message: OutgoingMessage; readonly answer: Deferred<FinalResult> }[] = [];
  const sender: MessageSender = {
    send: (message, { signal }) => {
      const answer = createDeferred<FinalResult>();
      signal.addEventListener('abort', () => answer.reject(signal.reason));
      if (signal.aborted) answer.reject(signal.reason);
      sends.push({ message, answer });
      return answer.promise;
    },
  };
  const rig = await startDeliveryRig({
    openCarrier: (callbacks) => new MessageCarrier({ ...callbacks, sender, clock: createFakeClock() }),
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const answer = async (index: number, how: FinalResult | Error) => {
    if (how instanceof Error) sends[index]?.answer.reject(how);
    else sends[index]?.answer.resolve(how);
    await turn();
  };
  return { ...rig, sends, sentIds: () => sends.map(({ message }) => message.id), answerSend: answer };
}

describe('messages to users', () => {
  test('are sent unchanged, and settled when the chat server has accepted them', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: toBob, body: 'Thank you.' }));
    expect(rig.sends[0]?.message).toEqual({ id: 'X.1', from: 'bot@localhost', to: 'bob@localhost', body: 'Thank you.' });
    expect(rig.dispositions).toEqual([]);
    await rig.answerSend(0, { kind: 'sent' });
    expect(rig.dispositions).toEqual(['X.1 delivered']);
  });

  test('wait in their lane behind one that waits for its attachment', async () => {
    const rig = await startRig();
    for (const id of ['X.1', 'X.2']) await rig.accept(makeDelivery({ id, target: toBob, lane: 'push > bob@localhost' }));
    expect(rig.sentIds()).toEqual(['X.1']);
    await rig.answerSend(0, { kind: 'sent' });
    expect(rig.sentIds()).toEqual(['X.1', 'X.2']);
  });

  test('are dead letters with the reason if they are refused', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: { ...toBob, fault: 'it is no JID' } }), makeDelivery({ id: 'X.2', target: toBob }));
    await rig.answerSend(0, { kind: 'refused', reason: 'not allowed' });
    const letters = await rig.spool.deadLetters({}, { limit: 10 });
    expect(letters.map(({ id, reason, detail }) => [id, reason, detail])).toEqual([
      ['X.1', 'refused', 'it is no JID'],
      ['X.2', 'refused', 'not allowed'],
    ]);
    expect(rig.sentIds()).toEqual(['X.2']);
  });

  test('are retried if the sender fails', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: toBob }));
    await rig.answerSend(0, new Error('on purpose'));
    expect(rig.dispositions).toEqual(['X.1 retry']);
  });

  test('that wait do not delay a stop: they stay in the spool without an attempt', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: toBob }));
    await rig.dispatcher.stop({ graceMs: 1000, release: true });
    const { claimed } = await claimFrom(rig.spool, 'pool', { handlers: ['push'], limit: 1, bytes: 1, now: Number.MAX_SAFE_INTEGER });
    expect(claimed.map(({ id, attempts }) => [id, attempts])).toEqual([['X.1', 0]]);
    expect(rig.dispositions).toEqual([]);
  });

  test('that are requests are dead letters', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'd1' }));
    expect(rig.dispositions).toEqual(['d1 dead']);
  });
});

test('a message in a pool of requests is a dead letter', async () => {
  const rig = await startDeliveryRig();
  await rig.accept(makeDelivery({ id: 'X.1', target: toBob }));
  await eventually(() => rig.dispositions.length > 0);
  expect([rig.open(), rig.dispositions]).toEqual([[], ['X.1 dead']]);
});

describe('the attachment of a message', () => {
  const route = (name: string, hosts: readonly string[], sent: string[]): MessageRoute => ({
    hosts,
    send: async ({ id }) => {
      sent.push(`${name} ${id}`);
      return { kind: 'sent' };
    },
  });
  const { signal } = new AbortController();
  const message = (to: string) => ({ from: undefined, to, body: 'x', id: to });

  test("is the attachment of the receiver's host, or else the first", async () => {
    const sent: string[] = [];
    const router = new MessageRouter({
      routes: () => [route('a', ['a.example'], sent), route('b', ['b.example'], sent)],
      timers: createFakeTimers(),
    });
    for (const to of ['x@b.example/phone', 'x@a.example', 'x@elsewhere.example']) await router.send(message(to), { signal });
    expect(sent).toEqual(['b x@b.example/phone', 'a x@a.example', 'a x@elsewhere.example']);
  });

  test('is missing: the message is refused', async () => {
    const router = new MessageRouter({ routes: () => [], timers: createFakeTimers() });
    const answer = await router.send(message('x@a.example'), { signal });
    expect(answer).toEqual({ kind: 'refused', reason: 'no attachment can send messages to users' });
  });

  test('is tried until the message is sent or aborted', async () => {
    const timers = createFakeTimers();
    const answers = ['unsent', 'unconfirmed', 'sent', 'unsent'] as const;
    let tries = 0;
    const offline: MessageRoute = {
      hosts: [],
      send: async () => {
        tries += 1;
        return { kind: answers[tries - 1] ?? 'unsent' };
      },
    };
    const router = new MessageRouter({ routes: () => [offline], timers });
    const passing = async () => {
      await eventually(() => timers.pending === 1);
      timers.fire();
    };
    const stopping = new AbortController();
    const first = router.send(message('x@a.example'), stopping);
    await passing();
    await passing();
    expect([await first, tries]).toEqual([{ kind: 'sent' }, 3]);

    const second = router.send(message('x@a.example'), stopping);
    await eventually(() => timers.pending === 1);
    stopping.abort(new Error('aborted'));
    await expect(second).rejects.toThrow('aborted');
    await expect(router.send(message('x@a.example'), stopping)).rejects.toThrow('aborted');
    expect(tries).toBe(4);
  });
});
