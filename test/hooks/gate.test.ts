import { describe, expect, test } from 'vitest';
import type { GateAsked } from '../../pools/callbacks.ts';
import { type CallbackWatch, unwatched } from '../../src/hooks/call.ts';
import { Gate } from '../../src/hooks/gate.ts';
import type { LoadedHandler } from '../../src/hooks/handler.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';
import { isDeeplyFrozen, readUnfrozen } from '../support/frozen.ts';
import { makeHandler } from '../support/make-handler.ts';
import { chat, makePacket } from '../support/make-packet.ts';

function gateOf(handlers: readonly LoadedHandler[], { watch = unwatched }: { readonly watch?: CallbackWatch } = {}) {
  const events = createEventBus();
  const timers = createFakeTimers();
  const clock = createFakeClock();
  const failed: string[] = [];
  const ended: string[] = [];
  events.on('gate.failed', ({ handler, error }) => failed.push(`${handler}: ${error.message}`));
  events.on('callback.ended', ({ handler, callback }) => ended.push(`${handler} ${callback}`));
  return {
    decide: new Gate({ handlers: () => handlers, timeoutMs: 1000, watch, clock, timers, events }).decide,
    timers,
    clock,
    failed,
    ended,
  };
}

/** A handler that answers with `given`, or with the result of a function. */
function answering(given: unknown, name = 'first', rest: Partial<LoadedHandler['config']> = {}): LoadedHandler {
  const gate = (asked: GateAsked) => (typeof given === 'function' ? given(asked) : given);
  return makeHandler({ name, ...rest }, { gate });
}

const shout = ({ packet }: GateAsked) => ({ body: `${packet.text('body')}!` });

describe('the handlers of a host are asked in their order', () => {
  test.each([
    ['without a gate', [makeHandler()], { kind: 'allowed' }],
    ['all allow', [answering(true), answering(undefined, 'second')], { kind: 'allowed' }],
    ['one changes', [answering(shout), answering(true, 'second')], { kind: 'changed', body: 'Hi!' }],
    ['each changes the text of the one before', [answering(shout), answering(shout, 'second')], { kind: 'changed', body: 'Hi!!' }],
    ['one refuses', [answering(shout), answering({ refuse: 'no' }, 'second')], { kind: 'refused', text: 'no' }],
    ['one refuses without a text', [answering({ refuse: '' })], { kind: 'refused', text: 'This message was not accepted.' }],
    ['one returns a promise', [answering(async () => ({ body: 'later' }))], { kind: 'changed', body: 'later' }],
    ['one belongs to another host', [answering(false, 'first', { hosts: ['elsewhere.example'] })], { kind: 'allowed' }],
    ['the rules of one do not match', [answering(false, 'first', { when: { type: ['groupchat'] } })], { kind: 'allowed' }],
  ])('%s', async (_, handlers, decision) => {
    expect(await gateOf(handlers).decide(makePacket({ stanza: chat('Hi') }))).toEqual(decision);
  });

  test('each sees a frozen message', async () => {
    const frozen: boolean[] = [];
    const look = (asked: GateAsked) => {
      frozen.push(isDeeplyFrozen(asked.packet));
      return shout(asked);
    };
    const stanza = readUnfrozen(chat('Hi').replace('</message>', "<active xmlns='http://jabber.org/protocol/chatstates'/></message>"));
    await gateOf([answering(look), answering(look, 'second')]).decide({ ...makePacket(), stanza });
    expect(frozen).toEqual([true, true]);
  });

  test('a `no-store` hint does not bypass the gate', async () => {
    const hinted = chat('Hi').replace('</message>', "<no-store xmlns='urn:xmpp:hints'/></message>");
    const { decide } = gateOf([answering(false, 'first', { respectHints: true })]);
    expect(await decide(makePacket({ stanza: hinted }))).toMatchObject({ kind: 'refused' });
  });

  test('the first refusal is final', async () => {
    let asked = 0;
    const { decide } = gateOf([answering(false), answering(() => (asked += 1), 'second')]);
    await decide(makePacket());
    expect(asked).toBe(0);
  });

  test('they share the metadata of the message and get the fields of the packet', async () => {
    const seen: GateAsked[] = [];
    const first = answering((asked: GateAsked) => {
      asked.acc.metadata.set('score', 7);
      return { body: 'new' };
    });
    const second = answering((asked: GateAsked) => void seen.push(asked), 'second');
    const packet = makePacket();
    await gateOf([first, second]).decide(packet);

    expect(seen[0]?.acc.metadata.get('score')).toBe(7);
    expect(seen[0]).toMatchObject({ from: packet.from, to: packet.to, opts: { name: 'second' } });
    expect(seen[0]?.packet.text('body')).toBe('new');
  });
});

describe('a gate that fails', () => {
  test.each([
    [
      'throws',
      () => {
        throw new Error('oh');
      },
      'gate: oh',
    ],
    ['rejects', () => Promise.reject(new Error('oh')), 'gate: oh'],
    ['returns a number', () => 1, 'gate: expected a boolean, { refuse } or { body }, got number'],
    ['returns null', () => null, 'gate: expected a boolean, { refuse } or { body }, got null'],
    ['returns another object', () => ({ text: 'x' }), 'gate: expected { refuse } or { body }, got an object without either'],
    ['returns an empty body', () => ({ body: '' }), 'gate: expected a non-empty body: return { refuse } to hold the message back'],
    ['returns a number as the body', () => ({ body: 7 }), 'gate: expected body to be a string, got number'],
    [
      'returns a body that is not XML text',
      () => ({ body: 'a\u0000' }),
      'gate: expected body to be XML text, got a character that XML does not allow',
    ],
    [
      'refuses with half a surrogate pair',
      () => ({ refuse: '\ud83d' }),
      'gate: expected refuse to be XML text, got a character that XML does not allow',
    ],
  ])('makes no decision and is final if it %s', async (_, given, message) => {
    const { decide, failed, ended } = gateOf([answering(given), answering(false, 'second')]);
    expect(await decide(makePacket())).toEqual({ kind: 'failed', reason: 'the gate of handler first failed' });
    expect(failed).toEqual([`first: ${message}`]);
    expect(ended).toEqual(['first gate']);
  });

  test('because it exceeds the rest of the time for all gates makes no decision', async () => {
    const first = createDeferred<boolean>();
    const { decide, timers, clock, failed } = gateOf([
      answering(() => first.promise),
      answering(() => new Promise(() => undefined), 'second'),
    ]);
    const decision = decide(makePacket());
    expect(timers.waits).toEqual([1000]);
    clock.advance(400);
    first.resolve(true);
    await eventually(() => timers.waits[0] === 600);
    timers.fire();

    expect(await decision).toMatchObject({ kind: 'failed' });
    expect(failed).toEqual(['second: gate: no result within 600 ms']);
  });

  test('because it blocked the thread too often on this message is not called', async () => {
    const watch = { ...unwatched, struckOut: (handler: string, key: string) => handler === 'first' && key === 'chat/1' };
    const { decide, failed } = gateOf([answering(true)], { watch });
    expect(await decide(makePacket())).toMatchObject({ kind: 'failed' });
    expect(failed).toEqual([expect.stringContaining('blocked the thread on this message too often')]);
    expect(await decide(makePacket({ key: 'chat/2' }))).toEqual({ kind: 'allowed' });
  });

  test('is reported to the watchdog while it runs', async () => {
    const log: string[] = [];
    const watch: CallbackWatch = {
      entering: (handler, key) => log.push(`enter ${handler} ${key}`),
      left: () => log.push('left'),
      struckOut: () => false,
    };
    await gateOf([answering(() => void log.push('gate'))], { watch }).decide(makePacket());
    expect(log).toEqual(['enter first chat/1', 'gate', 'left']);
  });

  test('has its rules reported to the watchdog, too', async () => {
    const log: string[] = [];
    const watch: CallbackWatch = {
      ...unwatched,
      entering: (handler, key) => log.push(`enter ${handler} ${key}`),
      left: () => log.push('left'),
    };
    const { decide } = gateOf([answering(false, 'first', { when: { to: ['nobody@*'] } })], { watch });
    expect([await decide(makePacket()), log]).toEqual([{ kind: 'allowed' }, ['enter first chat/1', 'left']]);
  });
});
