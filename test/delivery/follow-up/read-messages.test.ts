import { expect, test } from 'vitest';
import { mostMessages, readPayload } from '../../../src/delivery/follow-up/read-messages.ts';

const correspondence = { replyFrom: 'bot@localhost', defaultHost: 'localhost' };
const read = (payload: unknown) => readPayload(payload, correspondence);
const send = (...messages: readonly unknown[]) => read({ success: true, task: 'send', messages });

test.each([
  ['bob', 'bob@localhost'],
  ['bob@elsewhere.example', 'bob@elsewhere.example'],
  ['bob@localhost/phone', 'bob@localhost/phone'],
  ['4711', '4711@localhost'],
  ['+123@localhost', '+123@localhost'],
])('a message to %s goes to %s', (to, receiver) => {
  const target = { kind: 'xmpp', from: 'bot@localhost', to: receiver };
  expect(send({ to, message: 'Thank you.' })).toEqual({ kind: 'messages', messages: [{ target, text: 'Thank you.' }] });
});

test.each([
  ['+123', 'to is a telephone number and no JID'],
  ['+49 (30) 123-456', 'to is a telephone number and no JID'],
  ['', 'to is no JID'],
  ['a b', 'to is no JID'],
  ['a@b@c', 'to is no JID'],
  ['@localhost', 'to is no JID'],
  ['bob@', 'to is no JID'],
  ["bob@localhost'/><x", 'to is no JID'],
])('a message to %j is refused with its reason', (to, fault) => {
  expect(send({ to, message: 'x' })).toMatchObject({ messages: [{ target: { to: expect.any(String), fault } }] });
});

test.each([
  [{ to: 'bob' }, 'message must be text'],
  [{ to: 'bob', message: '' }, 'message must be text'],
  [{ to: 'bob', message: 7 }, 'message must be text'],
  [{ message: 'x' }, 'to must be text'],
  [{ to: 123, message: 'x' }, 'to must be text'],
  ['bob', 'to must be text'],
])('%j is refused with its reason', (message, fault) => {
  expect(send(message)).toMatchObject({ messages: [{ target: { fault } }] });
});

test('each of several is read, and one that is refused holds nobody up', () => {
  expect(send({ to: 'a', message: '1' }, { to: '+1', message: '2' }, { to: 'c', message: '3' })).toMatchObject({
    messages: [{ target: { to: 'a@localhost' } }, { target: { fault: expect.any(String) } }, { target: { to: 'c@localhost' }, text: '3' }],
  });
});

test.each([
  [{ success: false, task: 'send', messages: [{ to: 'a', message: 'x' }] }, 'declined'],
  [{ success: 'false', task: 'send', messages: [] }, 'declined'],
  [{ success: false, error: 'out of paper' }, 'declined'],
  [{ success: true, task: 'result' }, 'unknown-task'],
  [{ task: 'send', messages: { to: 'a', message: 'x' } }, 'malformed'],
  ['send', 'malformed'],
  [[1], 'malformed'],
])('%j sends nothing, and is told as %s', (payload, reason) => {
  expect(read(payload)).toEqual({ kind: 'ignored', reason });
});

test.each([{ success: true, error: null }, {}, [], { task: null }, { task: 'send' }, { success: 'true', task: 'send', messages: [] }])(
  '%j asks for nothing',
  (payload) => {
    expect(read(payload)).toEqual({ kind: 'messages', messages: [] });
  },
);

test('what is beyond the bound is one refusal that says so', () => {
  const read = send(...Array.from({ length: mostMessages + 5 }, (_, index) => ({ to: `u${index}`, message: 'x' })));
  if (read.kind !== 'messages') throw new Error('ignored');
  expect(read.messages).toHaveLength(mostMessages + 1);
  expect(read.messages.at(-1)?.target.fault).toBe('an answer may order 100 messages: 5 more were left out');
});
