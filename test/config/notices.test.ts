import { expect, test } from 'vitest';
import { orphanWarnings, queueNames } from '../../src/config/notices.ts';
import { queuesOf } from '../../src/delivery/policy.ts';
import { attachment, listener, load, pool } from './write-config.ts';

const watching = (when: string) => `[[modules.mod_event_pusher.http.handlers]]\nname = "watch"\nwhen = { ${when} }\n`;
const serviceLog = `${attachment}feed = "service_log"\n`;

test.each([
  ['status and unack', 'event = ["chat", "status", "unack"]', serviceLog],
  ['status', 'kind = "status"', serviceLog],
  ['unack', 'event = "unack"', listener],
  ['room-left', 'event = "room-left"', listener],
  ['absent members of rooms', 'event = "groupchat", occupant = false', listener],
  ['life', 'kind = ["life", "message"]', serviceLog],
])('a handler for %s without a tap gets a notice', async (waitedFor, when, attached) => {
  const { notices } = await load(`${pool}${attached}${watching(when)}`);
  expect(notices).toEqual([`handler watch waits for ${waitedFor}, which only a tap reports, but its hosts are attached without a tap`]);
});

test.each([
  ['status and unack with a tap', 'event = ["status", "unack"]', attachment],
  ['other events', 'event = ["chat", "offline"], kind = "message"', serviceLog],
])('a handler for %s gets no notice', async (_what, when, attached) => {
  expect((await load(`${pool}${attached}${watching(when)}`)).notices).toEqual([]);
});

const handler = (more: string) => `[[modules.mod_event_pusher.backend.http]]\n${more}\n`;
const withHandlers = (...handlers: readonly string[]) => load(`[general]\nhosts = ["localhost"]\n${pool}${handlers.map(handler).join('')}`);
const backlog = (name: string, waiting = 2) => ({ pool: 'http_pool', handler: name, waiting });

test('a changed path of a handler without a name gives a warning with the name that keeps the backlog', async () => {
  const before = await withHandlers('path = "/old"');
  const old = before.handlers[0]?.name ?? '';
  const next = await withHandlers('path = "/new"');
  const [warning, ...others] = orphanWarnings([backlog(old)], next, before);
  expect(others).toEqual([]);
  expect(warning).toContain(`2 deliveries wait for the handler ${old} on the pool http_pool, which this configuration does not have`);
  expect(warning).toContain(`name = "${old}"`);
  expect(warning).toContain(`orphans move --pool http_pool --handler ${old} --to-handler ${next.handlers[0]?.name}`);
  expect(orphanWarnings([backlog(old)], await withHandlers(`path = "/new"\nname = "${old}"`), before)).toEqual([]);
});

test('empty queues, served queues and existing orphans give no warning', async () => {
  const config = await withHandlers('name = "push"');
  expect(orphanWarnings([backlog('push'), backlog('gone', 0)], config)).toEqual([]);
  expect(orphanWarnings([backlog('gone')], config)).toHaveLength(1);
  expect(orphanWarnings([backlog('gone')], config, config)).toEqual([]);
});

test('the queue names are those of the dispatcher', async () => {
  const { handlers } = await withHandlers('name = "push"\nfollow_up = {}\nbefore_push = { path = "/ask" }', 'path = "/plain"');
  expect(handlers.flatMap(queueNames)).toEqual(handlers.flatMap(queuesOf));
});
