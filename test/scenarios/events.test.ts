/** The built service with tap items other than messages. */
import { expect, test } from 'vitest';
import { findChild } from '../../src/packet/xml/element.ts';
import { startPushRig } from '../support/push-rig.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';

const handler = (name: string, more = '') =>
  `[[modules.mod_event_pusher.http.handlers]]\nname = "${name}"\npath = "/${name}"\ncallback_module = "mod_event_pusher_http_json"\n${more}\n`;

const alice = 'alice@localhost/phone';
const lost = `<message xmlns='jabber:client' type='chat' from='bob@localhost/x' to='${alice}'><body>lost</body></message>`;
const heard =
  "<message xmlns='jabber:client' type='groupchat' from='hall@rooms.localhost/vee' to='bob@localhost'><body>hi</body></message>";

test('pushes status changes, unacknowledged messages and room messages to their receivers', async () => {
  await using chat = await startScriptedChat();
  await using rig = await startPushRig(chat.server.port, {
    handlers: [
      handler('all'),
      handler('status', 'when = { event = "status" }'),
      handler('unack', 'when = { event = "unack" }'),
      handler('rooms', 'when = { event = "groupchat", direction = "out" }'),
    ].join(''),
  });
  const { server } = chat;
  server.push(`<presence xmlns='jabber:client' from='${alice}'/>`, { dir: 'status', status: 'online', session: alice });
  chat.say('hello');
  server.push(lost, { dir: 'unack', session: alice, sessions: 0 });
  server.push(heard, { dir: 'out', sessions: 0, sender: 'alice@localhost' });
  server.push(`<presence xmlns='jabber:client' type='unavailable' from='${alice}'/>`, { dir: 'status', status: 'offline', session: alice });
  await rig.settled(5);

  const posted = (path: string) => rig.bodies(path).map((body) => JSON.parse(body));
  expect(posted('all')).toMatchObject([{ event: 'chat', body: 'hello' }]);
  expect(posted('status')).toMatchObject([
    { event: 'status', kind: 'status', type: 'available', from: { full: alice } },
    { event: 'status', type: 'unavailable', session: alice },
  ]);
  expect(posted('unack')).toMatchObject([{ event: 'unack', direction: 'out', body: 'lost', session: alice, sessions: 0 }]);
  expect(posted('rooms')).toMatchObject([{ event: 'groupchat', room: 'hall@rooms.localhost', sender: 'alice@localhost', sessions: 0 }]);
  const wants = server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['want'] ?? []);
  expect(wants).toEqual(['message status unack']);
  expect(await rig.metric('event_pusher_packet_events_total{event="status"}')).toBe(2);
});

test('a pusher whose feed was taken by another reports standby, and takes over later', async () => {
  await using chat = await startScriptedChat();
  await using rig = await startPushRig(chat.server.port, { handlers: handler('all'), loglevel: 'info' });
  chat.server.occupied = true;
  chat.server.disconnect();
  const line = await rig.pusher.said((candidate) => candidate['state'] === 'standby');
  expect(line.msg).toBe('host localhost of attachment chat is standing by: localhost feeds another pusher');
  const { status, text } = await rig.pusher.get('/readyz');
  expect(status).toBe(503);
  expect(text).toContain('standby: localhost feeds another pusher');

  chat.server.occupied = false;
  chat.server.disconnect(); // a new connection asks at once
  chat.say('taken over');
  await rig.settled(1);
});
