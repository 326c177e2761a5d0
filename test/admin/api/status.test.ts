import { describe, expect, test } from 'vitest';
import { flowShape, statusShape } from '../../../src/admin/api/status-shapes.ts';
import { acceptedAt } from '../../spool/build.ts';
import { makePoolView, noAttempts } from '../../support/scripted-operations.ts';
import { startApi } from './ask-api.ts';

const error = { at: acceptedAt, reason: 'prepareBody: no key for Hi, Bob!', mayQuote: true };

describe('the status', () => {
  test('has the documented shape, and pools with trouble first', async () => {
    const { get, operations } = await startApi();
    operations.pools = () => [
      makePoolView({ name: 'calm', handlers: [] }),
      makePoolView({ name: 'sick', breaker: 'open', probeInMs: 18_000, handlers: [] }),
    ];
    const { status, body } = await get('/status');
    expect(status).toBe(200);
    expect(statusShape.parse(body)).toEqual(body);
    expect(body.pools.map(({ name, trouble }: { name: string; trouble: string }) => [name, trouble])).toEqual([
      ['sick', 'critical'],
      ['calm', null],
    ]);
    expect(body.verdict).toMatchObject({ level: 'critical', headline: expect.stringContaining('sick: breaker open') });
    expect(body.history).toEqual({ since: new Date(acceptedAt).toISOString(), bytes: 12_000_000 });
    expect(body.hosts).toMatchObject([{ attachment: 'chat', host: 'localhost', state: 'connecting' }]);
  });

  test('is made once per second for all callers', async () => {
    const { get, operations, clock } = await startApi();
    let made = 0;
    operations.pools = () => {
      made += 1;
      return [];
    };
    await Promise.all([get('/status'), get('/status'), get('/status')]);
    expect(made).toBe(1);
    clock.advance(1000);
    await get('/status');
    expect(made).toBe(2);
  });

  test('shows texts that may quote messages only to callers that may see content', async () => {
    const { get, operations } = await startApi({ token: 'sesame' });
    const recent = { ...noAttempts, consecutiveFailures: 3, lastError: error, attempts: 3 };
    operations.pools = () => [
      makePoolView({
        handlers: [{ name: 'push', recent, waiting: 0, dead: 0, paused: false, breaker: 'closed', probeInMs: null, pausedUntil: null }],
      }),
    ];
    const masked = await get('/status');
    expect(JSON.stringify(masked.body)).not.toContain('Hi, Bob!');
    expect(masked.body.pools[0].handlers[0].lastError.text).toBe('prepareBody: [hidden]');
    expect(masked.body.caller).toEqual({ name: '', operate: true, content: false, signedIn: false });
    const open = await get('/status', { authorization: 'Bearer sesame' });
    expect(open.body.pools[0].handlers[0].lastError.text).toBe(error.reason);
    expect(open.body.verdict.lines[0].error).toEqual({ at: new Date(acceptedAt).toISOString(), text: error.reason });
  });

  test('has the flow of the last hour', async () => {
    const { get } = await startApi();
    const { status, body } = await get('/status/flow');
    expect([status, flowShape.parse(body)]).toEqual([200, body]);
  });
});

test('a probe is sent on request, and an unknown pool is named', async () => {
  const { post, notices } = await startApi();
  expect(await post('/pools/pool/probe')).toEqual({ status: 200, body: { pool: 'pool' } });
  expect(notices.at(-1)).toContain('asked for a probe of pool pool');
  expect(await post('/pools/poool/probe')).toMatchObject({ status: 404, body: { code: 'UNKNOWN_POOL' } });
});

describe('groups of dead letters', () => {
  test('are made by queue and error, the largest first, each with a filter that selects it', async () => {
    const { get, post, die } = await startApi();
    for (const status of [400, 422, 422]) await die({}, { status });
    await die({ handler: 'other' }, { status: 422 });
    const { body } = await get('/dead-letters/groups');
    expect([body.total, body.seen]).toEqual([4, 4]);
    expect(body.groups.map(({ handler, detail, count }: Record<string, unknown>) => [handler, detail, count])).toEqual([
      ['push', 'status 422', 2],
      ['push', 'status 400', 1],
      ['other', 'status 422', 1],
    ]);
    for (const { filter, count } of body.groups) {
      expect((await post('/dead-letters/replay', { filter, dryRun: true })).body.count).toBe(count);
    }
    expect(body.groups[0].oldestAt < body.groups[0].newestAt).toBe(true);
    expect((await post('/dead-letters/purge', { filter: body.groups[0].filter })).body.count).toBe(2);
  });

  test('have no texts that may quote messages for callers that may not see content', async () => {
    const { get, addFailedPacket } = await startApi({ token: 'sesame' });
    await addFailedPacket({ detail: 'prepareBody: no key for Hi, Bob!' });
    await addFailedPacket({ detail: 'prepareBody: no key for Hi, Eve!' });
    const masked = await get('/dead-letters/groups');
    expect(masked.body.groups).toMatchObject([{ detail: 'prepareBody: [hidden]', count: 2 }]);
    expect(masked.body.groups[0].filter).not.toHaveProperty('detail');
    const open = await get('/dead-letters/groups', { authorization: 'Bearer sesame' });
    expect(open.body.groups).toHaveLength(2);
  });
});
