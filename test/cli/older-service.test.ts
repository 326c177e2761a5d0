/**
 * A command line that is newer than its service. The responses are those of the service of 2026-11-28, with a dead letter and an event that is
 * retried, before it recorded a history, named callers, or paused handlers.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import { groupsShape, letterList, letterShape, purgedShape, replayedShape } from '../../src/admin/api/dead-letter-shapes.ts';
import { actionShape, eventDetailShape, eventList } from '../../src/admin/api/event-shapes.ts';
import { orphanList, pausedShape, poolList } from '../../src/admin/api/pools.ts';
import { testShape } from '../../src/admin/api/send-test.ts';
import { statusShape } from '../../src/admin/api/status-shapes.ts';
import { AdminClient } from '../../src/cli/admin-client.ts';
import { runCli } from '../support/run-cli.ts';

const recorded: Readonly<Record<string, unknown>> = JSON.parse(
  await readFile(new URL('../fixtures/api/service-2026-11-28.json', import.meta.url), 'utf8'),
);
const server = createServer((request, answer) => {
  const known = recorded[`${request.method} ${request.url?.replace('/api/v1', '').replace(/\?.*/, '')}`];
  answer.writeHead(known === undefined ? 404 : 200, { 'content-type': 'application/json' });
  answer.end(JSON.stringify(known ?? { code: 'NOT_FOUND', message: 'there is no such address' }));
});
let url = '';

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => void server.close());

const ids = Object.keys(recorded).flatMap((call) => /^GET \/events\/(.+)$/.exec(call)?.[1] ?? []);
const [dead = '', waiting = ''] = ids;

/** The shapes that commands read. `erase`, `tail` and `withheld` did not exist. */
const shapes: Readonly<Record<string, z.ZodType>> = {
  'GET /pools': poolList,
  'GET /status': statusShape,
  'GET /orphans': orphanList,
  'GET /dead-letters': letterList,
  'GET /dead-letters/groups': groupsShape,
  [`GET /dead-letters/${dead}`]: letterShape,
  'GET /events': eventList,
  [`GET /events/${dead}`]: eventDetailShape,
  [`GET /events/${waiting}`]: eventDetailShape,
  'POST /send-test': testShape,
  'POST /pools/http_pool/pause': pausedShape,
  'POST /pools/http_pool/resume': pausedShape,
  'POST /events/retry': actionShape,
  'POST /events/drop': actionShape,
  'POST /dead-letters/replay': replayedShape,
  'POST /dead-letters/purge': purgedShape,
};

test('every recorded response is read', () => {
  expect(Object.keys(shapes).toSorted()).toEqual(Object.keys(recorded).toSorted());
});

test.each(Object.entries(shapes))('%s of an older service is read', async (call, shape) => {
  const [method, path = ''] = call.split(' ');
  const client = new AdminClient(new URL(url), undefined);
  const read = await (method === 'GET' ? client.get(path, shape) : client.post(path, shape, {}));
  expect(read).toMatchObject(Object(recorded[call]));
});

test('commands print the response of an older service, with the fields that it lacks as absent', async () => {
  const [pools, status, shown] = await Promise.all([
    runCli(['pools', 'list', '--json', '--url', url]),
    runCli(['status', '--url', url]),
    runCli(['events', 'show', waiting, '--url', url]),
  ]);
  expect([pools.code, pools.stderr]).toEqual([0, '']);
  expect(JSON.parse(pools.stdout)).toMatchObject([{ paused: false, handlers: [{ name: 'push', paused: false }] }]);
  expect([status.code, status.stderr, status.stdout]).toEqual([1, '', expect.stringContaining('last error: status 503')]);
  expect([shown.code, shown.stderr, shown.stdout]).toEqual([0, '', expect.stringMatching(/waiting.*503/s)]);
});
