import { expect, test } from 'vitest';
import { Conditions } from '../../src/telemetry/conditions.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { attemptEnded, packetId, settled } from './observed.ts';

function startConditions() {
  const events = createEventBus();
  const clock = createFakeClock();
  return { events, clock, conditions: new Conditions({ events, clock }), start: clock.now() };
}

test('an outage lasts from the first opening of the breaker over all its probes', () => {
  const { events, clock, conditions, start } = startConditions();
  const change = (state: 'closed' | 'half-open' | 'open') => events.emit('breaker.state', { pool: 'pool', handler: '', state, reason: '' });
  change('open');
  clock.advance(1000);
  change('half-open');
  change('open');
  expect(conditions.breaker('pool', '')).toMatchObject({ state: 'open', since: start });
  change('closed');
  clock.advance(1000);
  change('open');
  expect(conditions.breaker('pool', '')?.since).toBe(start + 2000);
  expect(conditions.breaker('pool', 'push')).toBeUndefined();
});

test('a run of failures begins with its first and ends with an accepted attempt', () => {
  const { events, clock, conditions, start } = startConditions();
  const end = (accepted: boolean) => events.emit('attempt.ended', attemptEnded({ pool: 'pool', handler: 'push', accepted }));
  end(false);
  clock.advance(1000);
  end(false);
  expect(conditions.failingSince('pool', 'push')).toBe(start);
  end(true);
  expect(conditions.failingSince('pool', 'push')).toBeUndefined();
});

test('the time of an attachment is that of its loss, not of the last try', () => {
  const { events, clock, conditions, start } = startConditions();
  const change = (state: 'attached' | 'connecting' | 'offline', host = '') =>
    events.emit('attachment.state', { attachment: 'chat', host, state, reason: '' });
  change('attached');
  change('attached', 'localhost');
  clock.advance(5000);
  change('offline');
  clock.advance(1000);
  change('connecting');
  expect(conditions.attachment('chat', '', 'other')).toMatchObject({ state: 'connecting', since: start + 5000 });
  change('attached');
  change('attached', 'localhost');
  expect(conditions.attachment('chat', '', 'localhost')?.since).toBe(start + 6000);
});

test('the fullest tap queue counts, and is unknown after the loss of the connection', () => {
  const { events, conditions } = startConditions();
  const queue = (stream: string, ratio: number) =>
    events.emit('tap.queue', { attachment: 'chat', host: 'localhost', stream, items: 5, bytes: 9, ratio, leftOut: 0 });
  queue('one', 0.2);
  queue('two', 0.4);
  expect([conditions.tapFill, conditions.tapQueue('chat', 'localhost')?.stream]).toEqual([0.4, 'two']);
  events.emit('attachment.state', { attachment: 'chat', host: '', state: 'offline', reason: '' });
  expect([conditions.tapFill, conditions.tapQueue('chat', 'localhost')]).toEqual([0, undefined]);
});

test('pauses, dead letters, losses, stops of intake and reloads have their times', () => {
  const { events, clock, conditions, start } = startConditions();
  events.emit('pool.paused', { pool: 'pool', handler: '', paused: true });
  events.emit('pool.paused', { pool: 'other', handler: 'push', paused: true });
  events.emit('delivery.settled', settled({ pool: 'pool', handler: 'push', disposition: 'dead', reason: 'refused' }));
  events.emit('backlog.overflow', { pool: 'pool', handler: 'push', policy: 'refuse', count: 1 });
  events.emit('tap.hole', { attachment: 'chat', host: 'localhost', missing: 3 });
  events.emit('spool.writable', { writable: false, reason: 'full' });
  events.emit('config.reload', { result: 'refused', reason: 'a mistake' });
  events.emit('packet.seen', { attachment: 'chat', host: 'localhost', direction: 'in', event: 'chat' });
  clock.advance(1000);
  events.emit('spool.writable', { writable: false, reason: 'still full' });
  expect([conditions.pausedSince('pool'), conditions.pausedSince('other', 'push')]).toEqual([start, start]);
  expect([conditions.pausedSince('pool', 'push'), conditions.pausedSince('other')]).toEqual([undefined, undefined]);
  expect(conditions.lastDeath('pool', 'push')).toEqual({ at: start, reason: 'refused', error: undefined });
  expect(conditions.lastOverflow('pool')).toBe(start);
  expect(conditions.tapHole('chat', 'localhost')).toMatchObject({ missing: 3, at: start });
  expect(conditions.spoolRefusesSince).toBe(start);
  expect(conditions.lastReload).toEqual({ result: 'refused', reason: 'a mistake', at: start });
  expect(conditions.lastPacket('chat', 'localhost')).toBe(start);

  events.emit('pool.paused', { pool: 'pool', handler: '', paused: false });
  events.emit('spool.writable', { writable: true, reason: '' });
  expect([conditions.pausedSince('pool'), conditions.spoolRefusesSince]).toEqual([undefined, undefined]);
});

test('a failed callback is a dead letter of every queue of its handler, unless a later one is known', () => {
  const { events, clock, conditions, start } = startConditions();
  const error = new Error('no key');
  events.emit('callback.failed', { handler: 'push', callback: 'prepareBody', packetId, error });
  const death = { at: start, reason: 'callback-failed', error: 'prepareBody: no key' };
  expect([conditions.lastDeath('pool', 'push'), conditions.lastDeath('pool', 'other')]).toEqual([death, undefined]);
  clock.advance(1000);
  events.emit('delivery.settled', settled({ pool: 'pool', handler: 'push', disposition: 'dead', reason: 'refused' }));
  expect(conditions.lastDeath('pool', 'push')?.reason).toBe('refused');
});
