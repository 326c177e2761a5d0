import { describe, expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { createComponentOutbox } from '../../src/sources/component/outbox.ts';
import { startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

/** An outbox on a stream whose other end is the test. */
function openOutbox(timers = createFakeTimers()) {
  const written: string[] = [];
  const stream = { send: (xml: string) => void written.push(xml) };
  const outbox = createComponentOutbox({ domain: 'pusher.localhost', pingTo: 'localhost', readJid: createJidReader(), timers });
  return {
    ...outbox,
    timers,
    written,
    attach: () => outbox.attached(stream),
    detach: () => outbox.detached(stream),
    answerPing: (id: string, type = 'result') => outbox.takes(parseStanza(`<iq type='${type}' id='sent-${id}' from='localhost'/>`)),
    bounce: (id: string, from: string) => outbox.takes(parseStanza(bounced(id, from))),
  };
}

function bounced(id: string, from: string): string {
  const condition = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
  return `<message type='error' id='${id}' from='${from}' to='pusher.localhost'><error type='cancel'>${condition}</error></message>`;
}

const hello = { id: 'm1', to: 'bob@localhost', body: 'Hi & bye' };

describe('a message to a user', () => {
  test('leaves with a ping behind it, whose answer means that it was taken', async () => {
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

  test('is taken also where the host knows no pings', async () => {
    const { attach, send, answerPing } = openOutbox();
    attach();
    const sent = send(hello);
    expect(answerPing('m1', 'error')).toBe(true);
    expect(await sent).toEqual({ kind: 'sent' });
  });

  test('may be from a name at the domain', () => {
    const { attach, send, written } = openOutbox();
    attach();
    void send({ ...hello, from: 'News@pusher.localhost' });
    expect(written[0]).toContain('from="news@pusher.localhost"');
  });

  test('that comes back is refused, with the reason', async () => {
    const { attach, send, bounce } = openOutbox();
    attach();
    const sent = send(hello);
    expect(bounce('m1', 'bob@localhost')).toBe(true);
    expect(await sent).toEqual({ kind: 'refused', reason: 'bob@localhost cannot be reached: service-unavailable' });
  });

  test('is not refused by whom it was not for', async () => {
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
    ['ourselves as receiver', { to: 'x@pusher.localhost' }, 'x@pusher.localhost is ourselves'],
    [
      'a sender of another domain',
      { from: 'alice@localhost' },
      'alice@localhost is no sender here: it must be pusher.localhost, or a name at it',
    ],
    ['a sender that is no JID', { from: '@' }, '@ is no sender here: it must be pusher.localhost, or a name at it'],
    ['what XML cannot carry', { body: '\u0000' }, 'the text has a character that XML cannot carry'],
  ])('with %s is refused at once, attached or not', async (_, change, reason) => {
    const { send, written } = openOutbox();
    expect(await send({ ...hello, ...change })).toEqual({ kind: 'refused', reason });
    expect(written).toEqual([]);
  });
});

describe('while there is no stream', () => {
  test('messages wait, and leave in their order', async () => {
    const { attach, send, written, answerPing } = openOutbox();
    const both = [send(hello), send({ ...hello, id: 'm2' })];
    expect(written).toEqual([]);
    attach();
    expect(written.map((xml) => /id="([^"]+)"/.exec(xml)?.[1])).toEqual(['m1', 'sent-m1', 'm2', 'sent-m2']);
    answerPing('m1');
    answerPing('m2');
    expect(await Promise.all(both)).toEqual([{ kind: 'sent' }, { kind: 'sent' }]);
  });

  test('they wait no longer than they were told', async () => {
    const { send, timers } = openOutbox();
    const sent = send(hello, { withinMs: 1234 });
    expect(timers.waits).toEqual([1234]);
    timers.fire();
    expect(await sent).toEqual({ kind: 'unsent' });
  });

  test('only so many wait', async () => {
    const { send } = openOutbox();
    for (let i = 0; i < 1000; i += 1) void send({ ...hello, id: `m${i}` });
    expect(await send({ ...hello, id: 'one more' })).toEqual({ kind: 'unsent' });
  });
});

describe('when a stream ends', () => {
  test('what it has not confirmed goes out again on the next, under its id', async () => {
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

  test('what no stream confirms in time is neither sent nor unsent', async () => {
    const { attach, detach, send, timers } = openOutbox();
    attach();
    const sent = send(hello);
    detach();
    timers.fire();
    expect(await sent).toEqual({ kind: 'unconfirmed' });
  });
});

test('of several streams the first is used, and the next when that goes', async () => {
  const { attach, attached, detached, send, written, answerPing } = openOutbox();
  attach();
  const other: string[] = [];
  const beside = { send: (xml: string) => void other.push(xml) };
  attached(beside);
  const sent = send(hello);
  expect([written.length, other.length]).toEqual([2, 0]);
  detached(beside);
  attached(beside);
  expect(other).toEqual([]);
  answerPing('m1');
  expect(await sent).toEqual({ kind: 'sent' });
});

test('what the first of several streams has not confirmed goes out on the next', () => {
  const { attach, detach, attached, send, written } = openOutbox();
  attach();
  const other: string[] = [];
  attached({ send: (xml) => void other.push(xml) });
  void send(hello);
  detach();
  expect(other).toEqual(written);
});

test('at the end what waits is told so, and nothing more is taken', async () => {
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
  /** Waits between tries are short, deadlines (10 s each) are as they are. */
  const fast: Timers = { after: (ms, action) => systemTimers.after(ms === 10_000 ? ms : Math.min(ms, 5), action) };

  test('a component sends, and survives that the server closes the stream', async () => {
    await using chatServer = await startSource({ timers: fast, server: { answersPings: false } });
    await chatServer.attached();
    const sent = chatServer.source.outbox.send(hello);
    const received = () => chatServer.server.received.filter(({ name }) => name === 'message').map(({ attrs }) => attrs['id']);
    await eventually(() => received().length === 1);
    chatServer.server.disconnect();
    await eventually(() => received().length === 2);
    chatServer.server.sendRaw("<iq type='result' id='sent-m1' from='localhost' to='pusher.localhost'/>");
    expect(await sent).toEqual({ kind: 'sent' });
    expect(received()).toEqual(['m1', 'm1']);
    expect(chatServer.skipped).toEqual([]);
  });

  test('what comes back is no packet, and no stranger', async () => {
    await using chatServer = await startSource({ server: { answersPings: false } });
    await chatServer.attached();
    const sent = chatServer.source.outbox.send(hello);
    await eventually(() => chatServer.server.received.some(({ name }) => name === 'message'));
    chatServer.server.sendRaw(bounced('m1', 'bob@localhost'));
    expect((await sent).kind).toBe('refused');
    expect(chatServer.skipped).toEqual([]);
  });
});
