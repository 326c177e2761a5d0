/** Orders in the responses of backends, on the built service. */
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { startTapServer } from '../../demo/tap-server.ts';
import { chat } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { hostileHosts } from '../support/hostile-hosts.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import { runCli } from '../support/run-cli.ts';
import { type Answer, type Script, startTarget, type Target } from '../support/target.ts';

const quick = `[modules.mod_event_pusher.backend.http]
name = "push"
path = "/notifications"
`;

interface RigOptions {
  /** The response of the backend to the push of a message: an object as JSON, a text unchanged. */
  readonly answer: (other: Target, said: string) => unknown;
  /** The script of the server that receives the ordered requests. */
  readonly script?: Script;
  /** Settings of `follow_up`. Default: the address of the other server is allowed. */
  readonly followUp?: (other: Target) => string;
}

/** A chat server, a backend that responds with orders, and another server that receives them. */
async function startRig({ answer, script, followUp = ({ port }) => `allow = "127.0.0.1:${port}"` }: RigOptions) {
  const other = await startTarget(script === undefined ? {} : { script });
  const bodyOf = (given: unknown) => (typeof given === 'string' ? given : JSON.stringify(given));
  const backend = await startTarget({ script: (request) => ({ kind: 'answer', body: bodyOf(answer(other, saidIn(request))) }) });
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  const handlers = `${quick}[modules.mod_event_pusher.backend.http.follow_up]\n${followUp(other)}\n`;
  const pusher = await createPusher({ config: plainConfig({ componentPort: server.port, backend: backend.origin, handlers }) });
  await pusher.start();
  const { admin } = await pusher.said(({ event }) => event === 'ready');

  async function cli<T>(...args: readonly string[]): Promise<T> {
    const { stdout } = await runCli([...args, '--url', String(admin), '--json']);
    return JSON.parse(stdout);
  }

  return {
    other,
    backend,
    pusher,
    say: (body: string) => server.push(chat(body), { dir: 'in', session: 'alice@localhost/phone' }),
    letters: async (): Promise<Letter[]> => JSON.parse((await pusher.get('/api/v1/dead-letters?limit=1000')).text),
    cli,
    post: async (path: string, body: unknown): Promise<unknown> => {
      const asked = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      const { admin: now } = await pusher.said(({ event }) => event === 'ready'); // another after a restart
      return await (await fetch(`${now}/api/v1${path}`, asked)).json();
    },
    show: (id: string) => cli<Shown>('dead-letters', 'show', id, '--content'),
    /** The id of the push of this message; default: of the first. */
    pushId: (said?: string) =>
      backend.requests.find((request) => said === undefined || saidIn(request) === said)?.header('webhook-id') ?? '',
    [Symbol.asyncDispose]: async () => {
      await pusher[Symbol.asyncDispose]();
      await backend.stop();
      await other.stop();
      await server.close();
    },
  };
}

function saidIn({ body }: TargetRequest): string {
  return new URLSearchParams(body.toString()).get('message') ?? '';
}

interface Letter {
  readonly id: string;
  readonly reason: string;
  readonly pool: string;
  readonly detail: string;
}

interface Shown extends Letter {
  readonly parent: string | null;
  readonly target: { readonly origin?: string; readonly to?: string };
  readonly history: readonly unknown[];
}

const data = { uuid: '7cb8cfb7267c2296d3f4ff9e089d0076', foo: 'bar' };
const headers = { 'Content-Type': 'application/json; charset=utf-8' };

const documented = (other: Target) => ordering(other, {});

/** The documented response, with the address of the other server instead of 10.0.0.172, and these options. */
const ordering = ({ port }: Target, options: Readonly<Record<string, unknown>>) => ({
  callback: { options: { host: '127.0.0.1', port: String(port), method: 'POST', headers, path: '/v1/your-other-api/', ...options }, data },
  payload: { success: true, task: 'send', messages: [{ to: '+123', message: 'Your submission was received, thank you.' }] },
});

const created: Answer = { kind: 'answer', status: 201, body: 'no JSON, and no mistake' };

test('no response stops the service: an invalid order is a dead letter, and the next push arrives', async () => {
  const hostile: Readonly<Record<string, string>> = {
    untextual: '{"callback":{"options":{"path":{"toString":1,"valueOf":1}}}}',
    deep: `{"callback":{"options":{"host":"127.0.0.1","method":"POST"},"data":${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}}}`,
    prototype: '{"__proto__":{"callback":{}},"payload":{"task":"send","messages":[{"__proto__":{"to":"bob"},"message":"\\ud800"}]}}',
  };
  await using rig = await startRig({ answer: (_, said) => hostile[said] ?? 'well' });
  for (const said of [...Object.keys(hostile), 'after it']) rig.say(said);
  await eventually(async () => (await rig.letters()).length === 2);

  await eventually(() => rig.pushId('after it') !== '');
  const reasons = (await rig.letters()).map(({ id, reason, detail }) => `${id} ${reason}: ${detail}`);
  expect(reasons.sort()).toEqual([
    `${rig.pushId('untextual')}.1 chain-failed: callback.options.method must be GET, POST, PUT`,
    `${rig.pushId('prototype')}.1 refused: to must be text`,
  ]);
  expect(rig.backend.requests).toHaveLength(4);
  expect(rig.pusher.log.filter(({ event }) => event === 'ready')).toHaveLength(1);
  expect(await rig.pusher.logged('answer.ignored', 1)).toMatchObject([{ reason: 'too-deep' }]);
});

test('the documented response creates the documented request, and its message is refused with the reason', async () => {
  await using rig = await startRig({ answer: documented, script: () => created });
  rig.say('submission');
  await rig.other.received(1);
  await eventually(async () => (await rig.letters()).length === 1);

  const [request] = rig.other.requests;
  const body = '{"uuid":"7cb8cfb7267c2296d3f4ff9e089d0076","foo":"bar"}';
  expect(request).toMatchObject({ method: 'POST', path: '/v1/your-other-api/', body: Buffer.from(body) });
  expect(request?.header('host')).toBe(`127.0.0.1:${rig.other.port}`);
  expect(request?.header('content-type')).toBe('application/json; charset=utf-8');
  expect(request?.header('user-agent')).toMatch(/^xmpp-event-pusher\//);
  expect(request?.header('content-length')).toBe('55');
  expect(request?.header('webhook-id')).toBe(`${rig.pushId()}.1`);

  const letter = {
    id: `${rig.pushId()}.2`,
    pool: 'follow_up_messages',
    reason: 'refused',
    detail: 'to is a telephone number, not a JID',
  };
  expect(await rig.letters()).toMatchObject([letter]);
  expect(await rig.show(letter.id)).toMatchObject({ parent: rig.pushId(), target: { kind: 'xmpp', to: '+123' } });
});

test('a chain of three orders completes, and each id extends the previous one', async () => {
  const script: Script = ({ path }) => {
    const step = Number(path.slice(1));
    const callback = {
      options: { host: '127.0.0.1', port: rig.other.port, method: 'PUT', path: `/${step + 1}` },
      data: `step ${step + 1}`,
    };
    return { kind: 'answer', status: step === 1 ? 200 : 201, body: step < 3 ? JSON.stringify({ callback }) : 'done' };
  };
  await using rig = await startRig({ answer: (other) => ordering(other, { path: '/1' }), script });
  rig.say('first');
  await rig.other.received(3);

  const id = rig.pushId();
  expect(rig.other.requests.map((request) => [request.method, request.path, request.header('webhook-id')])).toEqual([
    ['POST', '/1', `${id}.1`],
    ['PUT', '/2', `${id}.1.1`],
    ['PUT', '/3', `${id}.1.1.1`],
  ]);
  expect(rig.other.requests[2]?.body.toString()).toBe('step 3');
});

test('a loop ends at max_depth as a dead letter', async () => {
  await using rig = await startRig({
    answer: documented,
    script: () => ({ kind: 'answer', body: JSON.stringify({ callback: documented(rig.other).callback }) }),
    followUp: ({ port }) => `allow = "127.0.0.1:${port}"\nmax_depth = 4`,
  });
  rig.say('round and round');
  const broken = async () => (await rig.letters()).filter(({ reason }) => reason === 'chain-failed');
  await eventually(async () => (await broken()).length === 1);
  expect(await broken()).toMatchObject([{ id: `${rig.pushId()}.1.1.1.1.1`, detail: 'the chain is longer than max_depth (4)' }]);
  expect(rig.other.requests).toHaveLength(4);
});

describe('a chain ends as a dead letter', () => {
  type End = readonly [why: string, answer: (other: Target) => unknown, detail: RegExp, requests: number];
  const to = (path: string) => (other: Target) => ordering(other, { path });
  const at = (options: Readonly<Record<string, unknown>>) => (other: Target) => ordering(other, options);

  const allowed: readonly End[] = [
    ['because the response has status 204', to('/204'), /^status 204$/, 1],
    ['because the response has status 404', to('/404'), /^status 404$/, 1],
    ['because the response is a redirect', to('/302'), /^status 302$/, 1],
    ['because its data is an array', (other) => ({ callback: { ...documented(other).callback, data: [1] } }), /an array/, 0],
    ['because its data is a number', (other) => ({ callback: { ...documented(other).callback, data: 1 } }), /not 1$/, 0],
    ['because its method is not allowed', at({ method: 'DELETE' }), /method must be/, 0],
    ['because an allowed name resolves to an internal address', at({ host: 'localhost', port: 81 }), /is not a public address/, 0],
    ['because its host is a metadata service', at({ host: '0xa9fea9fe', port: 80 }), /no request may be ordered to/, 0],
    ['because a header contains another header', at({ headers: { 'X-A': 'b\r\nHost: c' } }), /"X-A" cannot be sent/, 0],
  ];
  const refused: readonly End[] = [
    ['because its host is not allowed', at({}), /allow does not list 127\.0\.0\.1/, 0],
    ['because its host is a hidden form of a forbidden one', at({ host: '0x7f.1' }), /allow does not list 127\.0\.0\.1/, 0],
    ['because its host is mapped into IPv6', at({ host: '::ffff:7f00:1' }), /allow does not list ::ffff:7f00:1/, 0],
    ['because its port is not allowed', at({ host: 'api.example', port: 81 }), /allow does not list api\.example with port 81/, 0],
  ];

  test.each([
    ['with an allowed host or port', allowed, ({ port }: Target) => `allow = ["127.0.0.1:${port}", "localhost", "169.254.0.0/16"]`],
    ['with a forbidden host or port', refused, () => 'allow = "*.example:80"'],
  ] as const)('%s', async (_name, ends, followUp) => {
    const asked: string[] = [];
    await using rig = await startRig({
      answer: (other, said) => ends.find(([why]) => why === said)?.[1](other),
      script: ({ path }) => {
        asked.push(path);
        return { kind: 'answer', status: Number(path.slice(1)), headers: [['location', '/elsewhere']], body: '' };
      },
      followUp,
    });
    for (const [why] of ends) rig.say(why);
    const broken = async () => (await rig.letters()).filter(({ pool }) => pool === 'follow_up');
    await eventually(async () => (await broken()).length === ends.length);

    const letters = await broken();
    for (const [why, , detail] of ends) {
      expect([why, letters.find(({ id }) => id === `${rig.pushId(why)}.1`)]).toEqual([
        why,
        expect.objectContaining({ reason: 'chain-failed', detail: expect.stringMatching(detail) }),
      ]);
    }
    expect(asked).toHaveLength(ends.reduce((sum, [, , , requests]) => sum + requests, 0));
    expect(rig.backend.requests).toHaveLength(ends.length); // the responses were delivered
  });
});

test('no form of a host reaches an internal address', async () => {
  const hosts = hostileHosts.map(([, host]) => host);
  await using rig = await startRig({
    answer: (other, said) => ordering(other, { host: hosts[Number(said)] }),
    followUp: () => 'allow = "*.example.com"',
  });
  for (const index of hosts.keys()) rig.say(String(index));
  const broken = async () => (await rig.letters()).filter(({ reason }) => reason === 'chain-failed');
  await eventually(async () => (await broken()).length === hosts.length);
  expect(rig.other.counts.connections).toBe(0);
  for (const { detail } of await broken()) expect(detail).toMatch(/^allow does not list |no request may be ordered to$/);
});

test('an operator sees the built-in pools', async () => {
  await using rig = await startRig({ answer: () => ({}) });
  const pools = await rig.cli<readonly { name: string; handlers: readonly { name: string }[] }[]>('pools', 'list');
  expect(pools.map(({ name, handlers }) => [name, handlers.map((handler) => handler.name)])).toEqual([
    ['http_pool', ['push']],
    ['follow_up', ['push']],
    ['follow_up_messages', ['push']],
  ]);
});

test('orders of a renamed handler can be moved within their pool only', async () => {
  const answers: Answer[] = [{ kind: 'answer', status: 503 }];
  await using rig = await startRig({ answer: documented, script: () => answers.shift() ?? created });
  rig.say('wait');
  await rig.other.received(1);
  await rig.pusher.stop();
  const file = `${rig.pusher.folder}/event-pusher.toml`;
  await writeFile(file, (await readFile(file, 'utf8')).replace('name = "push"', 'name = "renamed"'));
  await rig.pusher.start();

  const from = { pool: 'follow_up', handler: 'push' };
  expect(await rig.post('/orphans/move', { from, to: { pool: 'http_pool', handler: 'renamed' } })).toMatchObject({
    message: 'deliveries of the pool follow_up cannot be sent by the pool http_pool',
  });
  expect(await rig.post('/orphans/move', { from, to: { pool: 'follow_up', handler: 'renamed' } })).toEqual({ count: 1 });
  await rig.other.received(2);
});

test('data is omitted on GET, and a chain completes after a 503 and a reset', async () => {
  const answers: Answer[] = [{ kind: 'answer', status: 503 }, { kind: 'reset' }, created];
  await using rig = await startRig({
    answer: (other) => ({ callback: { ...ordering(other, { method: 'GET' }).callback, data: [1] } }),
    script: () => answers.shift() ?? created,
  });
  rig.say('patiently');
  await eventually(() => rig.other.requests.length === 3);
  expect(rig.other.requests.map((request) => [request.method, request.body.length, request.header('event-pusher-attempt')])).toEqual([
    ['GET', 0, '1'],
    ['GET', 0, '2'],
    ['GET', 0, '3'],
  ]);
  expect(await rig.letters()).toEqual([]);
});

test('by default orders may go to the origin of the pushes only', async () => {
  await using rig = await startRig({
    answer: () =>
      rig.backend.requests.length > 1 ? {} : { callback: { options: { host: '127.0.0.1', port: rig.backend.port, method: 'GET' } } },
    followUp: () => '',
  });
  rig.say('go home');
  await rig.backend.received(2);
  expect(rig.backend.requests[1]).toMatchObject({ method: 'GET', path: '/' });
});

test('an order survives a kill under its id, and the push is not repeated', async () => {
  let open: (answer: Answer) => void = () => undefined;
  const held = new Promise<Answer>((resolve) => {
    open = resolve;
  });
  await using rig = await startRig({ answer: documented, script: () => held });
  rig.say('before the crash');
  await rig.other.received(1);
  await rig.pusher.kill();
  open(created);
  await rig.pusher.start();
  await rig.other.received(2);

  const ids = rig.other.requests.map((request) => request.header('webhook-id'));
  expect(ids).toEqual([`${rig.pushId()}.1`, `${rig.pushId()}.1`]);
  expect(rig.backend.requests).toHaveLength(1);
});
