import { expect, test } from 'vitest';
import { orphaning, queueNames } from '../../src/config/orphaning.ts';
import { queuesOf } from '../../src/delivery/served.ts';
import { load, pool } from './write-config.ts';

const handler = (more: string) => `[[modules.mod_event_pusher.backend.http]]\n${more}\n`;
const withHandlers = (...handlers: readonly string[]) => load(`[general]\nhosts = ["localhost"]\n${pool}${handlers.map(handler).join('')}`);
const owed = (name: string, waiting = 2) => ({ pool: 'http_pool', handler: name, waiting });

test('a handler without a name that changes its path is warned of, with the name that keeps its backlog', async () => {
  const before = await withHandlers('path = "/old"');
  const old = before.handlers[0]?.name ?? '';
  const next = await withHandlers('path = "/new"');
  const [warning, ...others] = orphaning([owed(old)], next, before);
  expect(others).toEqual([]);
  expect(warning).toContain(`2 deliveries wait for the handler ${old} on the pool http_pool, which this configuration does not have`);
  expect(warning).toContain(`name = "${old}"`);
  expect(warning).toContain(`orphans move --pool http_pool --handler ${old} --to-handler ${next.handlers[0]?.name}`);
  expect(orphaning([owed(old)], await withHandlers(`path = "/new"\nname = "${old}"`), before)).toEqual([]);
});

test('nothing is said of empty queues, of served ones, or of those that were orphans before', async () => {
  const config = await withHandlers('name = "push"');
  expect(orphaning([owed('push'), owed('gone', 0)], config)).toEqual([]);
  expect(orphaning([owed('gone')], config)).toHaveLength(1);
  expect(orphaning([owed('gone')], config, config)).toEqual([]);
});

test('the queues are those of the dispatcher', async () => {
  const { handlers } = await withHandlers('name = "push"\nfollow_up = {}\nbefore_push = { path = "/ask" }', 'path = "/plain"');
  expect(handlers.flatMap(queueNames)).toEqual(handlers.flatMap(queuesOf));
});
