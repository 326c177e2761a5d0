import { describe, expect, test } from 'vitest';
import { createMessageCarrier } from '../../../src/delivery/follow-up/message-carrier.ts';
import type { Handed, Outbox } from '../../../src/delivery/follow-up/outbox.ts';
import { createPostRoom, type Exit } from '../../../src/delivery/follow-up/post-room.ts';
import { createDeferred, type Deferred } from '../../../src/kit/lifecycle.ts';
import type { OutgoingMessage, XmppTarget } from '../../../src/model/delivery.ts';
import { makeDelivery } from '../../spool/build.ts';
import { startDeliveryRig } from '../../support/delivery-rig.ts';
import { eventually } from '../../support/eventually.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createFakeTimers } from '../../support/fake-timers.ts';

const toBob: XmppTarget = { kind: 'xmpp', from: 'bot@localhost', to: 'bob@localhost' };

/** A pool that carries messages, and an outbox that answers when told; it rejects when it is called off. */
async function startRig() {
  const handed: { readonly message: OutgoingMessage; readonly answer: Deferred<Handed> }[] = [];
  const outbox: Outbox = {
    send: (message, { signal }) => {
      const answer = createDeferred<Handed>();
      signal.addEventListener('abort', () => answer.reject(signal.reason));
      if (signal.aborted) answer.reject(signal.reason);
      handed.push({ message, answer });
      return answer.promise;
    },
  };
  const rig = await startDeliveryRig({
    openCarrier: (callbacks) => createMessageCarrier({ ...callbacks, outbox, clock: createFakeClock() }),
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const answer = async (index: number, how: Handed | Error) => {
    if (how instanceof Error) handed[index]?.answer.reject(how);
    else handed[index]?.answer.resolve(how);
    await turn();
  };
  return { ...rig, handed, handedOver: () => handed.map(({ message }) => message.id), answerOutbox: answer };
}

describe('messages to users', () => {
  test('are handed over as they are, and settled when the chat server has them', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: toBob, body: 'Thank you.' }));
    expect(rig.handed[0]?.message).toEqual({ id: 'X.1', from: 'bot@localhost', to: 'bob@localhost', body: 'Thank you.' });
    expect(rig.dispositions).toEqual([]);
    await rig.answerOutbox(0, { kind: 'sent' });
    expect(rig.dispositions).toEqual(['X.1 delivered']);
  });

  test('wait in their lane for one that waits for its attachment', async () => {
    const rig = await startRig();
    for (const id of ['X.1', 'X.2']) await rig.accept(makeDelivery({ id, target: toBob, lane: 'push > bob@localhost' }));
    expect(rig.handedOver()).toEqual(['X.1']);
    await rig.answerOutbox(0, { kind: 'sent' });
    expect(rig.handedOver()).toEqual(['X.1', 'X.2']);
  });

  test('die with the reason where they are refused, by us or by the outbox', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: { ...toBob, fault: 'it is no JID' } }), makeDelivery({ id: 'X.2', target: toBob }));
    await rig.answerOutbox(0, { kind: 'refused', reason: 'nobody may' });
    const letters = await rig.spool.deadLetters({}, { limit: 10 });
    expect(letters.map(({ id, reason, detail }) => [id, reason, detail])).toEqual([
      ['X.1', 'refused', 'it is no JID'],
      ['X.2', 'refused', 'nobody may'],
    ]);
    expect(rig.handedOver()).toEqual(['X.2']);
  });

  test('are tried again where the outbox fails', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: toBob }));
    await rig.answerOutbox(0, new Error('on purpose'));
    expect(rig.dispositions).toEqual(['X.1 retry']);
  });

  test('that wait hold up no stop, spend no attempt on it, and stay', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'X.1', target: toBob }));
    await rig.dispatcher.stop({ graceMs: 1000, release: true });
    const { claimed } = await rig.spool.claim('pool', { handlers: ['push'], limit: 1, bytes: 1, now: Number.MAX_SAFE_INTEGER });
    expect(claimed.map(({ id, attempts }) => [id, attempts])).toEqual([['X.1', 0]]);
    expect(rig.dispositions).toEqual([]);
  });

  test('that are requests got there by mistake, and die', async () => {
    const rig = await startRig();
    await rig.accept(makeDelivery({ id: 'd1' }));
    expect(rig.dispositions).toEqual(['d1 dead']);
  });
});

test('a message in the pool of requests is nothing that its threads could send', async () => {
  const rig = await startDeliveryRig();
  await rig.accept(makeDelivery({ id: 'X.1', target: toBob }));
  expect([rig.open(), rig.dispositions]).toEqual([[], ['X.1 dead']]);
});

describe('the way out', () => {
  const exit = (name: string, hosts: readonly string[], sent: string[]): Exit => ({
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
    const room = createPostRoom({
      exits: () => [exit('a', ['a.example'], sent), exit('b', ['b.example'], sent)],
      timers: createFakeTimers(),
    });
    for (const to of ['x@b.example/phone', 'x@a.example', 'x@elsewhere.example']) await room.send(message(to), { signal });
    expect(sent).toEqual(['b x@b.example/phone', 'a x@a.example', 'a x@elsewhere.example']);
  });

  test('is refused where there is none', async () => {
    const room = createPostRoom({ exits: () => [], timers: createFakeTimers() });
    const answer = await room.send(message('x@a.example'), { signal });
    expect(answer).toEqual({ kind: 'refused', reason: 'no attachment can send messages to users' });
  });

  test('is tried again and again while it is shut, until it is open or all is called off', async () => {
    const timers = createFakeTimers();
    const answers = ['unsent', 'unconfirmed', 'sent', 'unsent'] as const;
    let tries = 0;
    const shut: Exit = {
      hosts: [],
      send: async () => {
        tries += 1;
        return { kind: answers[tries - 1] ?? 'unsent' };
      },
    };
    const room = createPostRoom({ exits: () => [shut], timers });
    const passing = async () => {
      await eventually(() => timers.pending === 1);
      timers.fire();
    };
    const leaving = new AbortController();
    const first = room.send(message('x@a.example'), leaving);
    await passing();
    await passing();
    expect([await first, tries]).toEqual([{ kind: 'sent' }, 3]);

    const second = room.send(message('x@a.example'), leaving);
    await eventually(() => timers.pending === 1);
    leaving.abort(new Error('called off'));
    await expect(second).rejects.toThrow('called off');
    await expect(room.send(message('x@a.example'), leaving)).rejects.toThrow('called off');
    expect(tries).toBe(4);
  });
});
