import { expect, test } from 'vitest';
import type { AttachmentState } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { emitReady, Health } from '../../src/telemetry/health.ts';

function watch() {
  const events = createEventBus();
  const health = new Health({ events, attachments: [{ name: 'chat', hosts: ['localhost', 'example.org'] }] });
  const move = (host: string, state: AttachmentState, reason = '') =>
    events.emit('attachment.state', { attachment: 'chat', host, state, reason });
  const troubles = () =>
    health
      .checks()
      .filter(({ ready }) => !ready)
      .map(({ name, reason }) => `${name}: ${reason}`);
  return { events, health, move, troubles };
}

test('is not ready before the chat server is connected', () => {
  const { troubles } = watch();
  expect(troubles()).toEqual(['attachment chat, host localhost: connecting', 'attachment chat, host example.org: connecting']);
});

test('is ready when the connection and each host are attached', () => {
  const { health, move, troubles } = watch();
  move('', 'attached');
  move('localhost', 'attached');
  expect(troubles()).toEqual(['attachment chat, host example.org: resuming']);
  move('example.org', 'attached');
  expect(troubles()).toEqual([]);
  expect(health.checks().map(({ name }) => name)).toEqual([
    'attachment chat, host localhost',
    'attachment chat, host example.org',
    'spool',
    'draining',
  ]);
  expect(health.attached()).toEqual([
    { attachment: 'chat', host: 'localhost', attached: true },
    { attachment: 'chat', host: 'example.org', attached: true },
  ]);
});

test('is not ready while the first threads of a pool load, but while later ones do', () => {
  const { events, move, troubles } = watch();
  for (const host of ['', 'localhost', 'example.org']) move(host, 'attached');
  const thread = (state: 'died' | 'started' | 'up', pool = 'push') => events.emit('pool.thread', { pool, state, reason: '' });
  thread('started');
  thread('started');
  thread('started', 'business');
  expect(troubles()).toEqual(['pool push: its threads are starting', 'pool business: its threads are starting']);
  thread('up');
  thread('died', 'business');
  expect(troubles()).toEqual(['pool push: its threads are starting']);
  thread('up');
  thread('died');
  thread('started');
  expect(troubles()).toEqual([]);
});

test('emits ready when the last check passes, even if that is a thread', () => {
  const { events, health, move } = watch();
  const announced: string[] = [];
  events.on('ready', ({ admin }) => announced.push(admin));
  emitReady(events, health, 'http://127.0.0.1:1');
  events.emit('pool.thread', { pool: 'push', state: 'started', reason: '' });
  for (const host of ['', 'localhost', 'example.org']) move(host, 'attached');
  expect(announced).toEqual([]);
  events.emit('pool.thread', { pool: 'push', state: 'up', reason: '' });
  expect(announced).toEqual(['http://127.0.0.1:1']);
});

test('a lost connection detaches all its hosts, which have to resume after it is back', () => {
  const { health, move, troubles } = watch();
  move('', 'attached');
  move('localhost', 'attached');
  move('example.org', 'attached');
  move('', 'offline', 'closed by the server');
  expect(troubles()).toEqual([
    'attachment chat, host localhost: offline: closed by the server',
    'attachment chat, host example.org: offline: closed by the server',
  ]);
  expect(health.attached().some(({ attached }) => attached)).toBe(false);
  move('', 'attached');
  expect(troubles()).toEqual(['attachment chat, host localhost: resuming', 'attachment chat, host example.org: resuming']);
});

test('keeps the last problem while the connection is retried', () => {
  const { move, troubles } = watch();
  move('', 'refused', 'wrong secret');
  move('', 'connecting');
  expect(troubles()[0]).toBe('attachment chat, host localhost: refused: wrong secret');
  move('', 'attached');
  move('localhost', 'refused', 'no tap');
  move('localhost', 'resuming');
  expect(troubles()[0]).toBe('attachment chat, host localhost: refused: no tap');
  move('localhost', 'standby', 'localhost feeds another pusher');
  move('localhost', 'resuming');
  expect(troubles()[0]).toBe('attachment chat, host localhost: standby: localhost feeds another pusher');
});

test('names each of several nodes, and a host is attached if it is attached at all of them', () => {
  const events = createEventBus();
  const [a, b] = [{ name: 'xmpp://a:5347' }, { name: 'xmpp://b:5347' }];
  const health = new Health({ events, attachments: [{ name: 'chat', hosts: ['localhost'], nodes: [a, b] }] });
  const attach = (node: string) => {
    for (const host of ['', 'localhost'])
      events.emit('attachment.state', { attachment: 'chat', host, node, state: 'attached', reason: '' });
  };
  const troubles = () => health.checks().filter(({ ready }) => !ready);

  attach(a.name);
  expect(troubles()).toEqual([{ name: 'attachment chat, host localhost, node xmpp://b:5347', ready: false, reason: 'connecting' }]);
  expect(health.attached()).toEqual([{ attachment: 'chat', host: 'localhost', attached: false }]);
  attach(b.name);
  expect(troubles()).toEqual([]);
  expect(health.attached()).toEqual([{ attachment: 'chat', host: 'localhost', attached: true }]);
  events.emit('attachment.state', { attachment: 'chat', host: '', node: a.name, state: 'offline', reason: 'gone' });
  expect(troubles()).toEqual([{ name: 'attachment chat, host localhost, node xmpp://a:5347', ready: false, reason: 'offline: gone' }]);
});

test('reports a spool that is not writable with the reason', () => {
  const { events, health } = watch();
  events.emit('spool.writable', { writable: false, reason: 'disk full' });
  expect(health.checks()).toContainEqual({ name: 'spool', ready: false, reason: 'disk full' });
  events.emit('spool.writable', { writable: true, reason: '' });
  expect(health.checks()).toContainEqual({ name: 'spool', ready: true, reason: '' });
});

test('is not ready while it drains', () => {
  const { health } = watch();
  expect(health.checks()).toContainEqual({ name: 'draining', ready: true, reason: '' });
  health.drain();
  expect(health.checks()).toContainEqual({ name: 'draining', ready: false, reason: 'the service is stopping' });
});

test('reports a gate only if its listener is not open', () => {
  const events = createEventBus();
  const health = new Health({ events, attachments: [], gate: true });
  const names = () => health.checks().map(({ name, ready }) => `${name} ${ready}`);
  expect(names()).toEqual(['gate false', 'spool true', 'draining true']);
  events.emit('gate.listening', { listening: true });
  expect(names()).toEqual(['spool true', 'draining true']);
  events.emit('gate.listening', { listening: false });
  expect(names()).toEqual(['gate false', 'spool true', 'draining true']);
});
