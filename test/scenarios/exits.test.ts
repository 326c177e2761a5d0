/** HTTP clients with a real Prosody, through the exits and program units of the example, on the built service. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Asked, requestBytes } from '../support/exits-source.ts';
import { openHttpConnection, type RawAnswer } from '../support/http-connection.ts';
import { requirePackage } from '../support/packages.ts';
import { type Prosody, startProsody } from '../support/prosody.ts';
import { createPusher } from '../support/pusher.ts';
import { type Script, startTarget } from '../support/target.ts';

const hasProsody = await requirePackage('prosody');
const example = fileURLToPath(new URL('../../examples/http-exits', import.meta.url));
const modules = ['order-exit.mjs', 'order-unit.mjs', 'text-exit.mjs'];
const component = { domain: 'pusher.chat.example', secret: 's3cret' };
const form = 'application/x-www-form-urlencoded';

const startChatServer = () => startProsody({ hosts: ['chat.example'], component });

interface RigOptions {
  readonly script?: Script;
  /** Additional configuration and its files. */
  readonly more?: string;
  readonly files?: Readonly<Record<string, string>>;
}

/** The example on free ports with a backend of the test. */
async function startRig(prosody: Pick<Prosody, 'componentPort'>, { script, more = '', files = {} }: RigOptions = {}) {
  const backend = await startTarget(script === undefined ? {} : { script });
  const text = await readFile(`${example}/event-pusher.toml`, 'utf8');
  const config = text
    .replace(/\[general\]\n.*\n/, '')
    .replace('127.0.0.1:5347', `127.0.0.1:${prosody.componentPort}`)
    .replace('127.0.0.1:8081', '127.0.0.1:0')
    .replace('127.0.0.1:8082', '127.0.0.1:0')
    .replaceAll('./exits/', './')
    .replaceAll('https://backend.example', backend.origin);
  const own = await Promise.all(modules.map(async (name) => [name, await readFile(`${example}/exits/${name}`, 'utf8')] as const));
  const users = await readFile(`${example}/users`, 'utf8');
  const pusher = await createPusher({
    config: `${config}${more}`,
    hosts: ['chat.example'],
    files: { ...Object.fromEntries(own), users, ...files },
    env: { PUSHER_SECRET: component.secret },
  });
  await pusher.start();

  async function ask(asked: Asked, listener = 'public'): Promise<RawAnswer | undefined> {
    const { msg } = await pusher.said((line) => line.event === 'notice' && line.msg.endsWith(`(${listener})`));
    using client = await openHttpConnection(Number(/:(\d+) \(/.exec(msg)?.[1]));
    client.send(requestBytes(asked));
    return await client.answer();
  }

  return {
    backend,
    pusher,
    ask,
    post: (path: string, contentType: string, body: Buffer | string, headers: Record<string, string> = {}) =>
      ask({ path, body, headers: { 'content-type': contentType, ...headers } }),
    pushed: () => backend.requests.map(({ body }) => body.toString()),
    [Symbol.asyncDispose]: async () => {
      await pusher[Symbol.asyncDispose]();
      await backend.stop();
    },
  };
}

const shop = { authorization: `Basic ${Buffer.from('shop:demo').toString('base64')}` };

describe.skipIf(!hasProsody)('HTTP clients of a chat server', () => {
  test('push their messages, each in its own format', async () => {
    await using prosody = await startChatServer();
    await using rig = await startRig(prosody);
    const uuid = /^[0-9a-f-]{36}$/;

    const asForm = await rig.post('/form', form, 'author=alice&receiver=bob&message=Hi%2C+Bob%21');
    expect(asForm?.status).toBe(202);
    expect(asForm?.body.trim()).toMatch(uuid);

    const asJson = await rig.post('/form', 'application/json', '{"author":"alice@chat.example","receiver":"bob","message":"żółć"}');
    expect(asJson?.status).toBe(202);
    expect(JSON.parse(asJson?.body ?? '').id).toMatch(uuid);

    const latin2 = Buffer.concat([Buffer.from('alice\nbob\nZa'), Buffer.from([0xbf, 0xf3, 0xb3, 0xe6]), Buffer.from('\n2')]);
    const asText = await rig.post('/text', 'text/plain; charset=ISO-8859-2', latin2);
    expect(asText?.status).toBe(202);
    expect(asText?.body).toMatch(/^pushed as [0-9a-f-]{36}\n$/);

    await rig.backend.received(3);
    expect(rig.pushed().sort()).toEqual([
      'author=alice&server=chat.example&receiver=bob&message=%C5%BC%C3%B3%C5%82%C4%87',
      'author=alice&server=chat.example&receiver=bob&message=Hi%2C+Bob%21',
      'author=alice&server=chat.example&receiver=bob&message=Za%C5%BC%C3%B3%C5%82%C4%87%0A2',
    ]);
    expect(new Set(rig.backend.requests.map(({ path }) => path))).toEqual(new Set(['/webservice/notifications']));
  });

  test('reach a unit of the user through an exit that splits the input and renders the output', async () => {
    await using prosody = await startChatServer();
    await using rig = await startRig(prosody);
    const order = {
      items: [
        { name: 'żurek', price: 350 },
        { name: 'tea <green>', price: 1420 },
      ],
    };
    const answer = await rig.post('/orders/7', 'application/json', JSON.stringify(order));
    expect([answer?.status, answer?.headers.get('location'), answer?.headers.get('content-type')]).toEqual([
      201,
      '/orders/7',
      'text/html; charset=utf-8',
    ]);
    expect(answer?.body).toBe(
      '<!doctype html><title>Order 7</title><ul><li>żurek: 3.50 €</li><li>tea &lt;green>: 14.20 €</li><li>order 7 comes to 17.70 €</li></ul>\n',
    );
    expect(rig.pushed()).toEqual([]);
  });

  test('receive each failure as its code, without a push', async () => {
    await using prosody = await startChatServer();
    await using rig = await startRig(prosody);
    const answers = [
      await rig.post('/text', 'text/plain', 'alice'),
      await rig.post('/orders/7', 'application/json', '{"items":[]}'),
      await rig.post('/orders/7', 'application/json', '{'),
      await rig.post('/form', form, 'author=alice'),
      await rig.post('/send', form, 'receiver=bob&message=x'),
      await rig.post('/form', form, 'author=alice&server=evil.example&receiver=b&message=x'),
      await rig.post('/nowhere', form, ''),
      await rig.ask({ method: 'GET', path: '/form' }),
      await rig.post('/form', form, 'x'.repeat(1024 * 1024 + 1)),
      await rig.post('/text', 'text/plain; charset=klingon', 'alice\nbob\nx'),
      await rig.ask({ method: 'GET', path: '/status' }),
    ];
    expect(answers.map((answer) => `${answer?.status} ${answer?.body.trim()}`)).toEqual([
      '500 HX1A',
      '500 HX05',
      '500 HXFF',
      '400 the field receiver is missing',
      '401 this address requires a user name and a password',
      '403 evil.example is not a host of this attachment',
      '404 no descriptor has this path',
      '405 accepted methods: POST',
      '413 the body exceeds 1048576 bytes',
      '415 the charset klingon is not supported',
      '404 no descriptor has this path',
    ]);
    expect(rig.pushed()).toEqual([]);
    expect(await rig.pusher.logged('exit.failed', 3)).toMatchObject([
      { level: 'warn', descriptor: 'TEXT' },
      { level: 'warn', descriptor: 'ORDERS' },
      { level: 'error', descriptor: 'ORDERS', error: 'SyntaxError' },
    ]);
    const { text } = await rig.pusher.get('/metrics');
    expect(text).toContain('event_pusher_callback_failures_total{handler="front/ORDERS",callback="exit"} 2\n');
  });

  test('write to a user without being pushed', async () => {
    await using prosody = await startChatServer();
    await using rig = await startRig(prosody, {
      more: '[[modules.mod_event_pusher.http.handlers]]\npath = "/all"\nwhen = { body = true }\n',
    });
    await using alice = await prosody.connect({ user: 'alice' });
    await using bob = await prosody.connect({ user: 'bob' });
    const message = (body: string) => bob.next((stanza) => stanza.name === 'message' && stanza.text('body') === body);

    const answer = await rig.post('/send', form, 'receiver=bob&message=Za%C5%BC%C3%B3%C5%82%C4%87+%3C%26', shop);
    expect(answer?.status).toBe(200);
    const received = await message('Zażółć <&');
    expect(received.attrs).toMatchObject({ from: 'pusher.chat.example', type: 'chat', id: answer?.body.trim() });

    alice.sendChat('bob@chat.example', 'after');
    await message('after');
    await eventually(() => rig.pushed().some((body) => body.includes('after')));
    expect(rig.pushed().filter((body) => !body.includes('after'))).toEqual([]);

    expect(await rig.post('/send', form, 'receiver=nobody&message=x', shop)).toMatchObject({
      status: 422,
      body: expect.stringContaining('nobody@chat.example cannot be reached: '),
    });
    expect(await rig.post('/send', form, 'receiver=%2B123%40&message=x', shop)).toMatchObject({ status: 422, body: '+123@ is no JID\n' });
  });

  test('write to a user while the chat server restarts', async () => {
    await using prosody = await startChatServer();
    await using rig = await startRig(prosody);
    await prosody.stop();
    await rig.pusher.said((line) => line.event === 'attachment.state' && line['state'] === 'offline');
    const answer = rig.post('/send', form, 'receiver=bob&message=later', shop);
    await prosody.start();
    expect((await answer)?.status).toBe(200);
    await using bob = await prosody.connect({ user: 'bob' });
    await bob.next((stanza) => stanza.text('body') === 'later');
  });

  test('receive the status of the service on the inner listener only', async () => {
    await using prosody = await startChatServer();
    await using rig = await startRig(prosody);
    expect(await rig.ask({ method: 'GET', path: '/status' }, 'inner')).toMatchObject({
      status: 200,
      body: 'ready\nattachment chat, host chat.example: ready\nattachment front, host chat.example: ready\nspool: ready\ndraining: ready\n',
    });
  });

  test('lose nothing in a crash after a 202', async () => {
    let up = false;
    await using prosody = await startChatServer();
    await using rig = await startRig(prosody, { script: () => ({ kind: 'answer', status: up ? 200 : 503 }) });
    expect((await rig.post('/form', form, 'author=alice&receiver=bob&message=kept'))?.status).toBe(202);
    await rig.pusher.kill();
    up = true;
    const before = rig.backend.requests.length;
    await rig.pusher.start();
    await rig.backend.received(before + 1);
    expect(rig.pushed().at(-1)).toContain('message=kept');
  });
});

test('an exit that blocks the thread is named, and the service continues', async () => {
  await using backend = await startTarget();
  await using pusher = await createPusher({
    config: `
[callbacks]
block_timeout = "300ms"
[attach.front]
type = "http"
listen = "127.0.0.1:0"
[[attach.front.descriptors]]
name = "STUCK"
tac = "PUSH"
http_exit = "stuck"
[outgoing_pools.http.http_pool.connection]
host = "${backend.origin}"
[modules.mod_event_pusher.backend.http]
`,
    files: { 'stuck.mjs': 'export default () => { for (;;); };' },
  });
  await pusher.start();
  const { msg } = await pusher.said((line) => line.event === 'notice' && line.msg.includes('front accepts requests'));
  using client = await openHttpConnection(Number(/:(\d+) \(/.exec(msg)?.[1]));
  client.send(requestBytes({ path: '/x' }));
  const failure = await pusher.said((line) => line.level === 'error' && JSON.stringify(line).includes('front/STUCK'));
  expect(failure.msg).toContain('front/STUCK');
});

test('a module without an exported function aborts the start, with its descriptor in the error', async () => {
  await using pusher = await createPusher({
    config: `
[attach.front]
type = "http"
listen = "127.0.0.1:0"
[[attach.front.descriptors]]
name = "NOTHING"
tac = "PUSH"
http_exit = "nothing"
`,
    files: { 'nothing.mjs': 'export const exit = 1;' },
  });
  pusher.launch();
  expect(await pusher.ended()).toBe(1);
  expect(pusher.stderr()).toMatch(
    /descriptor NOTHING of front \(nothing\): file:.*nothing\.mjs exports nothing by default, and must export a function/,
  );
});
