/** Access to the API, and invalid requests. */
import { expect, test } from 'vitest';
import { ServiceError } from '../../../src/kit/errors.ts';
import { ask } from '../ask.ts';
import { startApi } from './ask-api.ts';

test('off loopback every request needs the token', async () => {
  const { get, post, operations } = await startApi({ host: '0.0.0.0', token: 'sesame' });
  for (const answer of [await get('/pools'), await get('/openapi.json'), await post('/pools/pool/pause')]) {
    expect([answer.status, answer.body.code]).toEqual([401, 'UNAUTHORIZED']);
  }
  expect(operations.paused.size).toBe(0);
  const authorization = 'Bearer sesame';
  expect((await get('/pools', { authorization })).status).toBe(200);
  expect((await post('/pools/pool/pause', undefined, { authorization })).status).toBe(200);
});

test('a foreign page cannot change anything, with a form or without', async () => {
  const { post, send, operations } = await startApi();
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x', 'application/jsonp', '']) {
    const { status, body } = await send('POST', '/pools/pool/pause', { body: '{}', headers: { 'content-type': type } });
    expect([status, body.code], type).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
  }
  for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', 'http://localhost']) {
    const { status, body } = await post('/pools/pool/pause', undefined, { origin });
    expect([status, body.code], origin).toEqual([403, 'FOREIGN_PAGE']);
  }
  expect((await post('/pools/pool/pause', undefined, { host: 'rebound.example' })).status).toBe(421);
  expect(operations.paused.size).toBe(0);
});

test('a page of this listener and callers with the token can change things', async () => {
  const { post, port } = await startApi({ token: 'sesame' });
  const host = `127.0.0.1:${port}`;
  expect((await post('/pools/pool/pause', undefined, { host, origin: `http://${host}` })).status).toBe(200);
  expect((await post('/pools/pool/pause', undefined, { origin: 'https://ops.example' })).status).toBe(403);
  const headers = { origin: 'https://ops.example', authorization: 'Bearer sesame' };
  expect((await post('/pools/pool/pause', undefined, headers)).status).toBe(200);
});

test('a body that is too large or not JSON is refused', async () => {
  const { send, get } = await startApi();
  const json = { 'content-type': 'application/json' };
  const huge = await send('POST', '/dead-letters/purge', { body: `{"ids":["${'x'.repeat(2 ** 20)}"]}`, headers: json });
  expect([huge.status, huge.body.code]).toEqual([413, 'TOO_LARGE']);
  const deep = `{"ids":${'['.repeat(80_000)}${']'.repeat(80_000)}}`;
  for (const body of ['{"all":', '{"__proto__":{"all":true}}', 'all=true', deep]) {
    const refused = await send('POST', '/dead-letters/purge', { body, headers: json });
    expect([refused.status, refused.body.code], body.slice(0, 40)).toEqual([400, 'BAD_REQUEST']);
  }
  expect((await get('/pools')).status).toBe(200);
});

test('an empty body counts as no body', async () => {
  const { send } = await startApi();
  expect((await send('POST', '/pools/pool/pause', { body: '', headers: { 'content-type': 'application/json' } })).status).toBe(200);
});

test.each([
  ['DELETE', '/dead-letters/d1', 'GET, HEAD'],
  ['GET', '/pools/pool/pause', 'POST'],
  ['POST', '/pools', 'GET, HEAD'],
  ['OPTIONS', '/send-test', 'POST'],
])('%s %s is refused with the allowed methods', async (method, path, allow) => {
  const { port } = await startApi();
  const { status, headers, body } = await ask(port, { method, path: `/api/v1${path}` });
  expect([status, headers.allow, JSON.parse(body).code]).toEqual([405, allow, 'METHOD_NOT_ALLOWED']);
});

test.each(['', '/', '/pools/', '/pools/pool', '/pools/a/b/pause', '/nothing', '//pools', '/../pools'])(
  'there is nothing at %s',
  async (path) => {
    const { get } = await startApi();
    const { status, body } = await get(path);
    expect([status, body.code]).toEqual([404, 'NOT_FOUND']);
  },
);

test('an internal failure is reported with its code, and the service continues', async () => {
  const { get, spool, dependencies } = await startApi();
  await spool.stop();
  expect((await get('/dead-letters')).body).toMatchObject({ code: 'SPOOL_FAILED' });
  Object.assign(dependencies.operations, {
    pools: () => {
      throw new ServiceError('SPOOL_FULL', 'the disk is full');
    },
  });
  const full = await get('/pools');
  expect([full.status, full.body]).toEqual([503, { code: 'SPOOL_FULL', message: 'the disk is full' }]);
  expect((await get('/orphans')).status).toBe(200);
});
