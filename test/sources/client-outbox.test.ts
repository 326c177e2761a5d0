import { expect, test } from 'vitest';
import { ServiceError } from '../../src/kit/errors.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { AccountOutbox } from '../../src/sources/client/outbox.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

const hello = { id: 'm1', to: 'Bob@localhost', body: 'Hi & bye' };

/** An outbox whose queue is the test. */
function openOutbox() {
  const written: string[] = [];
  const handed: ReturnType<typeof createDeferred<void>>[] = [];
  const timers = createFakeTimers();
  const queue = {
    send: (message: { readonly xml: string }) => {
      const taken = createDeferred<void>();
      written.push(message.xml);
      handed.push(taken);
      return taken.promise;
    },
  };
  const { send } = new AccountOutbox({ jid: 'bot@localhost', queue, readJid: createJidReader(), timers });
  return { send, written, handed, timers };
}

test('a message is sent when the server has received it', async () => {
  const { send, written, handed, timers } = openOutbox();
  const sent = send(hello);
  expect(written).toEqual(['<message type="chat" id="m1" to="bob@localhost"><body>Hi &amp; bye</body></message>']);
  handed[0]?.resolve();
  expect(await sent).toEqual({ kind: 'sent' });
  expect(timers.pending).toBe(0);
});

test('a message over its time limit is unconfirmed, and a repeated call joins it', async () => {
  const { send, written, handed, timers } = openOutbox();
  const first = send(hello, { withinMs: 1234 });
  expect(timers.waits).toEqual([1234]);
  timers.fire();
  expect(await first).toEqual({ kind: 'unconfirmed' });
  const again = send(hello);
  handed[0]?.resolve();
  expect(await again).toEqual({ kind: 'sent' });
  expect(written).toHaveLength(1);
  void send(hello);
  expect(written).toHaveLength(2);
});

test.each([
  ['OUTBOX_FULL', 'unsent'],
  ['OUTBOX_CLOSED', 'unconfirmed'],
] as const)('an error %s makes it %s', async (code, kind) => {
  const { send, handed } = openOutbox();
  const sent = send(hello);
  handed[0]?.reject(new ServiceError(code, 'no'));
  expect(await sent).toEqual({ kind });
});

test.each([
  ['a telephone number as receiver', { to: '+123@' }, '+123@ is no JID'],
  ['the account itself as receiver', { to: 'bot@localhost/phone' }, 'bot@localhost/phone is this account itself'],
  ['another sender', { from: 'alice@localhost' }, 'alice@localhost is not allowed as the sender: it must be bot@localhost'],
  ['a character that XML does not allow', { body: '\u0000' }, 'the text has a character that XML does not allow'],
])('a message with %s is refused at once', async (_, change, reason) => {
  const { send, written } = openOutbox();
  expect(await send({ ...hello, ...change })).toEqual({ kind: 'refused', reason });
  expect(written).toEqual([]);
});
