import { createHash } from 'node:crypto';
/** Access to the API, and invalid requests. */
import { describe, expect, test } from 'vitest';
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

test('a foreign page cannot begin a view or a search, and pages of this listener can', async () => {
  const { send, port } = await startApi({ token: 'sesame' });
  const codes = async (headers: Record<string, string>) => {
    const answers = [await send('GET', '/tail', { headers }), await send('GET', '/events', { headers })];
    return answers.map(({ status, body }) => body.code ?? status);
  };
  const foreign = [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'https://evil.example' }];
  for (const headers of foreign) expect(await codes(headers), JSON.stringify(headers)).toEqual(['FOREIGN_PAGE', 'FOREIGN_PAGE']);
  const own = [{}, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }, { origin: `http://127.0.0.1:${port}` }];
  for (const headers of own) expect(await codes(headers), JSON.stringify(headers)).toEqual([200, 200]);
  expect(await codes({ 'sec-fetch-site': 'cross-site', authorization: 'Bearer sesame' })).toEqual([200, 200]);
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

describe('a token of [admin] tokens', () => {
  const hash = (token: string) => createHash('sha256').update(token).digest('hex');
  const tokens = [
    { name: 'night', role: 'read', content: false, hash: hash('moon') },
    { name: 'day', role: 'operate', content: false, hash: hash('sun') },
    { name: 'support', role: 'read', content: true, hash: hash('lens') },
  ] as const;
  const by = (token: string) => ({ authorization: `Bearer ${token}` });

  test('lets its holder do what its role and content allow, off loopback', async () => {
    const { get, post, notices } = await startApi({ host: '0.0.0.0', tokens });
    expect((await get('/status')).status).toBe(401);
    expect((await get('/status', by('dark'))).status).toBe(401);
    const callers = await Promise.all(['moon', 'sun', 'lens'].map(async (token) => (await get('/status', by(token))).body.caller));
    expect(callers).toEqual([
      { name: 'night', operate: false, content: false, signedIn: false },
      { name: 'day', operate: true, content: false, signedIn: false },
      { name: 'support', operate: false, content: true, signedIn: false },
    ]);
    expect(await post('/pools/pool/pause', undefined, by('moon'))).toMatchObject({ status: 403, body: { code: 'READ_ONLY' } });
    expect((await post('/pools/pool/pause', undefined, by('sun'))).status).toBe(200);
    expect(notices.at(-1)).toContain('by day: paused pool pool');
    expect((await get('/dead-letters?content=true', by('sun'))).status).toBe(403);
    expect((await get('/dead-letters?content=true', by('lens'))).status).toBe(200);
  });

  test('protects content on loopback, too', async () => {
    const { get } = await startApi({ tokens });
    expect((await get('/status')).body.caller).toMatchObject({ name: '', content: false, signedIn: false });
    expect((await get('/dead-letters?content=true')).status).toBe(403);
  });

  test('cannot be omitted on loopback to change something', async () => {
    const { get, post, operations } = await startApi({ tokens, token: 'sesame' });
    expect((await get('/status')).body.caller.operate).toBe(false);
    for (const headers of [{}, by('moon'), by('wrong')]) {
      expect(await post('/pools/pool/pause', undefined, headers)).toMatchObject({ status: 403, body: { code: 'READ_ONLY' } });
    }
    expect(operations.paused.size).toBe(0);
    for (const token of ['sun', 'sesame']) expect((await post('/pools/pool/pause', undefined, by(token))).status).toBe(200);
  });
});
