import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { apiRoutes, registerApi } from '../../../src/admin/api/register.ts';
import { packageVersion } from '../../../src/kit/process.ts';
import { createApiRig } from '../../support/admin-rig.ts';
import { startApi } from './ask-api.ts';

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: { readonly type?: string };
  }[];
  readonly requestBody?: {
    readonly content: { readonly 'application/json': { readonly schema: { readonly properties: Record<string, unknown> } } };
  };
}

/** A valid request for each route. */
const questions: Readonly<Record<string, { readonly path?: string; readonly body?: unknown }>> = {
  'GET /status': {},
  'GET /status/flow': {},
  'GET /pools': {},
  'POST /pools/{pool}/probe': { path: '/pools/pool/probe' },
  'POST /pools/{pool}/pause': { path: '/pools/pool/pause' },
  'POST /pools/{pool}/resume': { path: '/pools/pool/resume' },
  'POST /pools/{pool}/handlers/{handler}/pause': { path: '/pools/pool/handlers/push/pause' },
  'POST /pools/{pool}/handlers/{handler}/resume': { path: '/pools/pool/handlers/push/resume' },
  'GET /events': { path: '/events?state=dead&limit=5' },
  'GET /events/{id}': { path: '/events/d1?content=true' },
  'POST /events/retry': { body: { all: true, dryRun: true } },
  'POST /events/drop': { body: { ids: ['d2'] } },
  'GET /dead-letters': { path: '/dead-letters?content=true&limit=5' },
  'GET /dead-letters/groups': {},
  'GET /dead-letters/{id}': { path: '/dead-letters/d1?content=true' },
  'POST /dead-letters/replay': { body: { all: true, dryRun: true } },
  'POST /dead-letters/purge': { body: { ids: ['d2'] } },
  'GET /orphans': {},
  'POST /orphans/move': { body: { from: { pool: 'pool', handler: 'gone' }, to: { pool: 'pool', handler: 'push' } } },
  'POST /orphans/purge': { body: { pool: 'other', handler: 'gone' } },
  'POST /send-test': { body: { handler: 'push' } },
  'GET /withheld': {},
  'GET /tail': { path: '/tail?state=dead' },
  'POST /erase': { body: { jid: 'bob@localhost', dryRun: true } },
};

async function startDocumented() {
  const api = await startApi();
  api.operations.orphaned = [...api.operations.orphaned, { pool: 'other', handler: 'gone', waiting: 1 }];
  await api.die({ id: 'd1' });
  const { body: document } = await api.get('/openapi.json');
  const operations = Object.entries<Record<string, Operation>>(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
  return { ...api, document, operations };
}

test('every route in the document answers with the documented response', async () => {
  const { operations, send, dependencies } = await startDocumented();
  expect(operations.map(({ name }) => name).sort()).toEqual(Object.keys(questions).sort());

  const routes = apiRoutes(dependencies);
  for (const [name, { path, body }] of Object.entries(questions)) {
    const [method = '', documented = ''] = name.split(' ');
    const asked = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const answer = await send(method, path ?? documented, asked);
    expect(answer.status, `${name}: ${JSON.stringify(answer.body)}`).toBe(200);
    const shape = routes.find((route) => route.method === method && route.path === documented)?.response;
    expect(shape?.parse(answer.body), name).toEqual(answer.body);
  }
});

test('every registered address of the API is in the document', async () => {
  const { document } = await startDocumented();
  const { dependencies } = await createApiRig();
  const app = Fastify();
  const registered: string[] = [];
  app.addHook('onRoute', ({ method, url }) => void (method === 'HEAD' || registered.push(`${method} ${url}`)));
  const pass = async () => undefined;
  const access = {
    ...{ sessions: undefined, guard: pass, bearer: () => undefined, session: () => undefined },
    callerOf: () => ({ name: '', mayOperate: false, mayReadContent: false, signedIn: false, address: '' }),
  };
  registerApi(app, { ...access, routes: apiRoutes(dependencies), version: '1' });

  const [{ url: root }] = document.servers;
  const named = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${root}${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  expect(registered.filter((route) => route !== `GET ${root}/openapi.json`)).toEqual(named);
});

test('parameters are documented at their place in the request', async () => {
  const { operations, document } = await startDocumented();
  const byName = new Map(operations.map(({ name, operation }) => [name, operation]));
  expect(byName.get('GET /dead-letters/{id}')?.parameters.map((each) => [each.name, each.in, each.required])).toEqual([
    ['id', 'path', true],
    ['content', 'query', false],
  ]);
  expect(byName.get('GET /dead-letters')?.parameters.find(({ name }) => name === 'limit')?.schema).toEqual({
    ...{ type: 'integer', default: 100, minimum: 1, maximum: 10_000 },
  });
  const replay = byName.get('POST /dead-letters/replay');
  expect(replay?.parameters).toEqual([]);
  expect(Object.keys(replay?.requestBody?.content['application/json'].schema.properties ?? {})).toEqual([
    'ids',
    'filter',
    'all',
    'dryRun',
    'limit',
  ]);
  expect(byName.get('POST /pools/{pool}/pause')?.requestBody).toBeUndefined();
  expect(document.openapi).toBe('3.1.0');
  expect(document.info.version).toBe(packageVersion());
});

test('every operation has a unique name', async () => {
  const { operations } = await startDocumented();
  const names = operations.map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain('postPoolsPoolPause');
});
