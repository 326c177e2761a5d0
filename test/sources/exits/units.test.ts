import { expect, test } from 'vitest';
import { createDeferred } from '../../../src/kit/lifecycle.ts';
import type { OutgoingMessage, SendResult } from '../../../src/model/delivery.ts';
import { eventually } from '../../support/eventually.ts';
import { type ExitsSetting, startExitsSource } from '../../support/exits-source.ts';

const form = 'application/x-www-form-urlencoded';
const descriptor = { unit: { kind: 'builtin', name: 'SENDMSG' } } as const;

/** An outbox that records messages and returns a given result. */
function startSending(sent: Promise<SendResult> | SendResult, setting: ExitsSetting = {}) {
  const messages: OutgoingMessage[] = [];
  const send = async (message: OutgoingMessage) => {
    messages.push(message);
    return await sent;
  };
  return startExitsSource({ descriptor, outbox: { send }, ...setting }).then((front) => ({ ...front, messages }));
}

test('SENDMSG sends to a user, and responds when the chat server has confirmed the message', async () => {
  const sent = createDeferred<SendResult>();
  await using front = await startSending(sent.promise);
  const answer = front.post('receiver=bob&message=Hi', form);
  await eventually(() => front.messages.length === 1);
  sent.resolve({ kind: 'sent' });
  expect(await answer).toMatchObject({ status: 200, body: 'id-2\n' });
  expect(front.messages).toEqual([{ id: 'id-2', to: 'bob@localhost', body: 'Hi' }]);
  expect(front.packets).toEqual([]);
});

test.each<[SendResult, number, string]>([
  [{ kind: 'refused', reason: '+123 is no JID' }, 422, '+123 is no JID'],
  [{ kind: 'unsent' }, 503, 'not sent: the chat server cannot be reached'],
  [{ kind: 'unconfirmed' }, 503, 'the message was sent, but the chat server has not confirmed it in time'],
])('a message that was not sent is reported: %j', async (sent, status, text) => {
  await using front = await startSending(sent);
  expect(await front.post('receiver=bob&message=Hi', form)).toMatchObject({ status, body: `${text}\n` });
});

test('nothing is sent if the exit ends the service, in either phase', async () => {
  for (const phase of ['I', 'O']) {
    await using front = await startSending(
      { kind: 'sent' },
      {
        exit: (par) => {
          if (par.ioIndicator === 'I') for (const part of ['bob@localhost', 'Hi']) par.putMgetMessage(part);
          if (par.ioIndicator === phase) par.retcode = 26;
        },
      },
    );
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'HX1A\n' });
    expect(front.messages).toEqual([]);
  }
});

test('a text of several parts is sent as one message', async () => {
  await using front = await startSending(
    { kind: 'sent' },
    { exit: (par) => par.ioIndicator === 'I' && ['bob@localhost', 'one ', 'two'].forEach((part) => void par.putMgetMessage(part)) },
  );
  expect((await front.post('', 'text/plain'))?.status).toBe(200);
  expect(front.messages).toMatchObject([{ to: 'bob@localhost', body: 'one two' }]);
});
