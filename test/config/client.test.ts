import { describe, expect, test } from 'vitest';
import type { ClientAttachment } from '../../src/config/service-config.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { load } from './write-config.ts';

const account = (service: string, more = '') => `
[attach.bot]
type = "client"
service = "${service}"
jid = "bot@Chat.example"
password = "hunter2"
${more}
`;

test('an account needs only service, jid and password', async () => {
  expect(await bot(account('xmpp://chat.example'))).toMatchObject({
    service: { host: 'chat.example', port: 5222 },
    encryption: 'starttls',
    jid: { user: 'bot', domain: 'chat.example' },
    resource: 'event-pusher',
    priority: 0,
    rooms: [],
    carbons: true,
    archive: true,
    hosts: ['chat.example'],
  });
});

describe('encryption', () => {
  test.each([
    ['xmpp://chat.example:15222', '', 'starttls'],
    ['xmpps://chat.example', '', 'direct'],
    ['xmpp://127.0.0.1', '', 'plain'],
    ['xmpp://127.0.0.1', '[attach.bot.tls]', 'starttls'],
    ['xmpps://127.0.0.1', 'plaintext = true', 'direct'],
    ['xmpp://chat.example', 'plaintext = true', 'plain'],
  ])('of %s %s is %s', async (service, more, encryption) => {
    expect(await bot(account(service, more))).toMatchObject({ encryption });
  });

  test('takes the same table as a pool', async () => {
    const { cert } = makeSelfSigned(['DNS:chat.example']);
    const tls = '[attach.bot.tls]\ncacertfile = "ca.pem"\nserver_name_indication.host = "inner.example"';
    expect(await bot(account('xmpps://chat.example', tls), { 'ca.pem': cert })).toMatchObject({
      service: { port: 5223 },
      tls: { ca: cert, serverName: 'inner.example', verify: true },
    });
  });
});

test('a room contains its nickname after the slash', async () => {
  const rooms = 'rooms = ["ops@rooms.example/the bot", "dev@rooms.example/a/b"]';
  expect(await bot(account('xmpp://chat.example', rooms))).toMatchObject({
    rooms: [
      { jid: 'ops@rooms.example', nick: 'the bot' },
      { jid: 'dev@rooms.example', nick: 'a/b' },
    ],
  });
});

test('two accounts may share a host, because each sees only its own traffic', async () => {
  const both = `${account('xmpp://chat.example')}${account('xmpp://chat.example').replace('attach.bot', 'attach.other')}`;
  const { attachments } = await load(both);
  expect(attachments.map(({ hosts }) => hosts)).toEqual([['chat.example'], ['chat.example']]);
});

async function bot(text: string, files: Readonly<Record<string, string>> = {}): Promise<ClientAttachment | undefined> {
  const { attachments } = await load(text, { files });
  return attachments.find((attachment): attachment is ClientAttachment => attachment.type === 'client');
}
