import { describe, expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { ComponentOutbox } from '../../src/sources/component/outbox.ts';
import { startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

/** An outbox on a stream that the test reads and answers. */
function openOutbox(timers = createFakeTimers()) {
  const written: string[] = [];
  const stream = { send: (xml: string) => void written.push(xml) };
  const outbox = new ComponentOutbox({ domain: 'pusher.localhost', pingTo: 'localhost', readJid: createJidReader(), timers });
  return {
    send: outbox.send,
    close: () => outbox.close(),
    timers,
    written,
    attach: (other = stream) => outbox.attached(other),
    detach: (other = stream) => outbox.detached(other),
    answerPing: (id: string, type = 'result') => outbox.consumes(parseStanza(`<iq type='${type}' id='sent-${id}' from='localhost'/>`)),
    bounce: (id: string, from: string) => outbox.consumes(parseStanza(bounced(id, from))),
  };
}

function bounced(id: string, from: string): string {
  const condition = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
  return `<message type='error' id='${id}' from='${from}' to='pusher.localhost'><error type='cancel'>${condition}</error></message>`;
}

const hello = { id: 'm1', to: 'bob@localhost', body: 'Hi & bye' };

describe('a message to a user', () => {
  test('is followed by a ping, whose answer confirms it', async () => {
    const { attach, send, written, answerPing, timers } = openOutbox();
    attach();
    const sent = send(hello);
    expect(written).toEqual([
      '<message type="chat" id="m1" from="pusher.localhost" to="bob@localhost"><body>Hi &amp; bye</body></message>',
      '<iq type="get" id="sent-m1" from="pusher.localhost" to="localhost"><ping xmlns="urn:xmpp:ping"/></iq>',
    ]);
    expect(answerPing('m1')).toBe(true);
    expect(await sent).toEqual({ kind: 'sent' });
    expect(timers.pending).toBe(0);
  });

  test('is confirmed by an error too, if the host does not support pings', async () => {
    const { attach, send, answerPing } = openOutbox();
    attach();
    const sent = send(hello);
    expect(answerPing('m1', 'error')).toBe(true);
    expect(await sent).toEqual({ kind: 'sent' });
  });

  test('may have a JID at the component domain as its sender', () => {
    const { attach, send, written } = openOutbox();
    attach();
    void send({ ...hello, from: 'News@pusher.localhost' });
    expect(written[0]).toContain('from="news@pusher.localhost"');
  });

  test('is refused with the reason if the server returns it', async () => {
    const { attach, send, bounce } = openOutbox();
    attach();
    const sent = send(hello);
    expect(bounce('m1', 'bob@localhost')).toBe(true);
    expect(await sent).toEqual({ kind: 'refused', reason: 'bob@localhost cannot be reached: service-unavailable' });
  });

  test('is not refused by an error from another domain or for another message', async () => {
    const { attach, send, bounce, answerPing } = openOutbox();
    attach();
    const sent = send(hello);
    expect(bounce('m1', 'evil.example')).toBe(false);
    expect(bounce('m2', 'bob@localhost')).toBe(false);
    answerPing('m1');
    expect(await sent).toEqual({ kind: 'sent' });
  });

  test.each([
    ['a receiver that is no JID', { to: '+123@' }, '+123@ is no JID'],
    ['a telephone number', { to: '+123' }, '+123 is no JID'],
    ['the component as receiver', { to: 'x@pusher.localhost' }, 'x@pusher.localhost is this component itself'],
    [
      'a sender of another domain',
      { from: 'alice@localhost' },
      'alice@localhost is not allowed as the sender: it must be pusher.localhost, or a JID at it',
    ],
    ['a sender that is no JID', { from: '@' }, '@ is not allowed as the sender: it must be pusher.localhost, or a JID at it'],
    ['a character that XML does not allow', { body: '\u0000' }, 'the text has a character that XML does not allow'],
  ])('with %s is refused at once, with or without a stream', async (_, change, reason) => {
    const { send, written } = openOutbox();
    expect(await send({ ...hello, ...change })).toEqual({ kind: 'refused', reason });
    expect(written).toEqual([]);
  });
});

describe('while there is no stream', () => {
  test('messages wait, and leave in order', async () => {
    const { attach, send, written, answerPing } = openOutbox();
    const both = [send(hello), send({ ...hello, id: 'm2' })];
    expect(written).toEqual([]);
    attach();
    expect(written.map((xml) => /id="([^"]+)"/.exec(xml)?.[1])).toEqual(['m1', 'sent-m1', 'm2', 'sent-m2']);
    answerPing('m1');
    answerPing('m2');
    expect(await Promise.all(both)).toEqual([{ kind: 'sent' }, { kind: 'sent' }]);
  });

  test('a message waits no longer than its limit', async () => {
    const { send, timers } = openOutbox();
    const sent = send(hello, { withinMs: 1234 });
    expect(timers.waits).toEqual([1234]);
    timers.fire();
    expect(await sent).toEqual({ kind: 'unsent' });
  });

  test('at most 1000 messages wait', async () => {
    const { send } = openOutbox();
    for (let i = 0; i < 1000; i += 1) void send({ ...hello, id: `m${i}` });
    expect(await send({ ...hello, id: 'one more' })).toEqual({ kind: 'unsent' });
  });
});

describe('when a stream ends', () => {
  test('unconfirmed messages go out again on the next, with the same id', async () => {
    const { attach, detach, send, written, answerPing } = openOutbox();
    attach();
    const sent = send(hello);
    detach();
    attach();
    expect(written.slice(2)).toEqual(written.slice(0, 2));
    answerPing('m1');
    expect(await sent).toEqual({ kind: 'sent' });
    detach();
    attach();
    expect(written).toHaveLength(4);
  });

  test('a message that no stream confirms in time is unconfirmed', async () => {
    const { attach, detach, send, timers } = openOutbox();
    attach();
    const sent = send(hello);
    detach();
    timers.fire();
    expect(await sent).toEqual({ kind: 'unconfirmed' });
  });
});

test('the first of several streams is used, and the others only after it has ended', async () => {
  const { attach, detach, send, written, answerPing } = openOutbox();
  attach();
  const other: string[] = [];
  const second = { send: (xml: string) => void other.push(xml) };
  attach(second);
  const sent = send(hello);
  expect([written.length, other.length]).toEqual([2, 0]);
  detach(second);
  attach(second);
  expect(other).toEqual([]);
  answerPing('m1');
  expect(await sent).toEqual({ kind: 'sent' });
});

test('unconfirmed messages of the first stream go out on the next', () => {
  const { attach, detach, send, written } = openOutbox();
  attach();
  const other: string[] = [];
  attach({ send: (xml) => void other.push(xml) });
  void send(hello);
  detach();
  expect(other).toEqual(written);
});

test('closing ends the pending messages and rejects new ones', async () => {
  const { attach, detach, send, close, timers } = openOutbox();
  attach();
  const written = send(hello);
  detach();
  const waiting = send({ ...hello, id: 'm2' });
  close();
  expect(await Promise.all([written, waiting])).toEqual([{ kind: 'unconfirmed' }, { kind: 'unsent' }]);
  expect(await send({ ...hello, id: 'm3' })).toEqual({ kind: 'unsent' });
  expect(timers.pending).toBe(0);
});

describe('on a chat server', () => {
  /** Shortens all waits except the deadlines of 10 s. */
  const fast: Timers = { after: (ms, action) => systemTimers.after(ms === 10_000 ? ms : Math.min(ms, 5), action) };

  test('a component sends a message again after the server has closed the stream', async () => {
    await using chatServer = await startSource({ timers: fast, server: { answersPings: false } });
    await chatServer.attached();
    const sent = chatServer.source.outbox?.send(hello);
    const received = () => chatServer.server.received.filter(({ name }) => name === 'message').map(({ attrs }) => attrs['id']);
    await eventually(() => received().length === 1);
    chatServer.server.disconnect();
    await eventually(() => received().length === 2);
    chatServer.server.sendRaw("<iq type='result' id='sent-m1' from='localhost' to='pusher.localhost'/>");
    expect(await sent).toEqual({ kind: 'sent' });
    expect(received()).toEqual(['m1', 'm1']);
    expect(chatServer.skipped).toEqual([]);
  });

  test('a returned message is not handed to the feed', async () => {
    await using chatServer = await startSource({ server: { answersPings: false } });
    await chatServer.attached();
    const sent = chatServer.source.outbox?.send(hello);
    await eventually(() => chatServer.server.received.some(({ name }) => name === 'message'));
    chatServer.server.sendRaw(bounced('m1', 'bob@localhost'));
    expect((await sent)?.kind).toBe('refused');
    expect(chatServer.skipped).toEqual([]);
  });
});
