/** The example that combines all five documents, on the built service, compared with its page. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requestBytes } from '../support/exits-source.ts';
import { openHttpConnection } from '../support/http-connection.ts';
import { createPusher } from '../support/pusher.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { type Answer, startTarget, type Target } from '../support/target.ts';

const example = fileURLToPath(new URL('../../examples/five-documents', import.meta.url));
const questionPath = '/callback?command=callbackBeforePushCommand&contenttype=json';

interface RigOptions {
  /** The response of the backend to a push attempt; undefined: the orders of the page. */
  readonly backend?: (said: string, attempt: number) => Answer | undefined;
  readonly business?: (content: string) => object;
  /** Whether the backend accepts ordered requests; default true. */
  readonly takesOrders?: () => boolean;
  /** Changes the configuration before the service starts. */
  readonly change?: (config: string) => string;
}

/** The example on free ports, with a scripted chat server, and a backend and a business server of the test. */
async function startRig({ backend: answer, business: decide, takesOrders = () => true, change = (config) => config }: RigOptions = {}) {
  const chat = await startScriptedChat({ answersPings: true });
  const orders = await ordersOfThePage();
  const backend = await startTarget({
    script: (request) => {
      if (request.path !== '/notifications') return { kind: 'answer', status: takesOrders() ? 201 : 404 };
      const attempt = Number(request.header('event-pusher-attempt'));
      return answer?.(saidIn(request), attempt) ?? { kind: 'answer', body: orders(backend) };
    },
  });
  const business = await startTarget({
    // The answer to the question contains orders too, which are ignored.
    script: (request) => ({
      kind: 'answer',
      body: JSON.stringify({ ...JSON.parse(orders(backend)), actionCode: 0, nextCode: '', ...decide?.(contentOf(request)) }),
    }),
  });
  const text = await readFile(`${example}/event-pusher.toml`, 'utf8');
  const config = text
    .replace(/\[general\]\n.*\n/, '')
    .replace('127.0.0.1:5347', `127.0.0.1:${chat.server.port}`)
    .replace('127.0.0.1:8081', '127.0.0.1:0')
    .replace('127.0.0.1:9465', '127.0.0.1:0')
    .replaceAll('127.0.0.1:8000', `127.0.0.1:${backend.port}`)
    .replaceAll('127.0.0.1:8001', `127.0.0.1:${business.port}`)
    .replace('./exits/', './');
  const pusher = await createPusher({
    config: change(config),
    files: {
      'five.mjs': await readFile(`${example}/callbacks/five.mjs`, 'utf8'),
      'moody.mjs': moody,
      'ticket-exit.mjs': await readFile(`${example}/exits/ticket-exit.mjs`, 'utf8'),
    },
    env: { PUSHER_SECRET: 's3cret', GATE_TOKEN: 'token' },
  });
  await pusher.start();

  async function listenerOf(what: string): Promise<string> {
    const { msg } = await pusher.said((line) => line.event === 'notice' && line.msg.includes(what));
    return /http:\/\/[^/\s]+/.exec(msg)?.[0] ?? '';
  }

  async function post(path: string, asked: object): Promise<unknown> {
    const { admin } = await pusher.said(({ event }) => event === 'ready');
    const headers = { 'content-type': 'application/json' };
    return await (await fetch(`${admin}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(asked) })).json();
  }

  return {
    ...{ chat, backend, business, pusher, post, listenerOf },
    pushes: () => backend.requests.filter(({ path }) => path === '/notifications'),
    ordered: () => backend.requests.filter(({ path }) => path !== '/notifications'),
    messages: () => chat.server.received.filter(({ name }) => name === 'message'),
    letters: async (): Promise<readonly { readonly id: string; readonly reason: string }[]> =>
      JSON.parse((await pusher.get('/api/v1/dead-letters')).text),
    /** Changes the configuration of the running service; resolves when it is applied. */
    reload: async (by: (config: string) => string) => {
      const file = join(pusher.folder, 'event-pusher.toml');
      await writeFile(file, by(await readFile(file, 'utf8')));
      const before = pusher.log.length;
      pusher.signal('SIGHUP');
      const { msg, ...line } = await pusher.said((said) => said.event === 'config.reload' && pusher.log.indexOf(said) >= before);
      expect([msg, line['result']]).toEqual([msg, 'applied']);
    },
    [Symbol.asyncDispose]: async () => {
      await pusher[Symbol.asyncDispose]();
      await Promise.all([backend.stop(), business.stop()]);
      await chat[Symbol.asyncDispose]();
    },
  };
}

/** The response on the page, with the port of the backend. */
async function ordersOfThePage(): Promise<(backend: Target) => string> {
  const page = await readFile(`${example}/README.md`, 'utf8');
  const [, answer = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  return ({ port }) => answer.replace('8000', String(port));
}

function saidIn({ body }: TargetRequest): string {
  return new URLSearchParams(body.toString()).get('message') ?? '';
}

function contentOf({ body }: TargetRequest): string {
  return JSON.parse(body.toString()).content;
}

const suppressed: Answer = { kind: 'answer', headers: [['x-notificationstatus', 'Suppressed']] };
/** A module that makes no push from its first packet. */
const moody =
  "let times = 0;\nexport const prepareBody = () => {\n  times += 1;\n  if (times === 1) throw new Error('not now');\n  return 'at last';\n};\n";
const refusal = { nextCode: 1, errCode: 5001, errMsg: 'Not now.' };

describe('the five documents together', () => {
  test('produce the requests of the page from one message', async () => {
    await using rig = await startRig({ backend: (_, attempt) => (attempt === 1 ? suppressed : undefined) });
    rig.chat.say('The printer is out of paper');
    await eventually(() => rig.ordered().length === 1 && rig.messages().length === 1);

    const [question] = rig.business.requests;
    const id = question?.header('operationid') ?? '';
    expect(rig.business.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([`POST ${questionPath}`]);
    expect(rig.pushes().map((request) => [request.header('webhook-id'), request.body.toString()])).toEqual(
      Array(2).fill([`${id}.1`, 'author=alice&server=localhost&receiver=bob&message=The+printer+is+out+of+paper']),
    );
    expect(rig.ordered()).toMatchObject([{ method: 'PUT', path: '/open-tickets/alice', body: Buffer.from('{"seen":true}') }]);
    expect(rig.ordered()[0]?.header('webhook-id')).toBe(`${id}.1.1`);
    const [message] = rig.messages();
    expect(message?.attrs).toMatchObject({ id: `${id}.1.2`, from: 'desk@pusher.localhost', to: 'alice@localhost' });
    expect(message?.text('body')).toBe('The desk has it.');
  });

  test('produce the same requests from a ticket at the exit', async () => {
    await using rig = await startRig();
    const origin = new URL(await rig.listenerOf('desk'));
    using client = await openHttpConnection(Number(origin.port));
    const ticket = JSON.stringify({ id: 7, opened_by: 'alice', text: 'No paper' });
    client.send(requestBytes({ method: 'POST', path: '/tickets', headers: { 'content-type': 'application/json' }, body: ticket }));
    const answer = await client.answer();
    expect([answer?.status, Object.keys(JSON.parse(String(answer?.body)))]).toEqual([202, ['pushed']]);
    await eventually(() => rig.ordered().length === 1 && rig.messages().length === 1);
    expect(rig.pushes().map(saidIn)).toEqual(['Ticket 7: No paper']);
    expect(rig.business.requests.map(contentOf)).toEqual(['Ticket 7: No paper']);
  });

  test('let the business server decide at the gate', async () => {
    await using rig = await startRig({ business: (content) => (content === 'no' ? refusal : content === 'ill' ? { actionCode: 1 } : {}) });
    const gate = await rig.listenerOf('gate');
    async function ask(said: string): Promise<readonly [number, string]> {
      const headers = { authorization: 'Bearer token', 'content-type': 'application/xml; charset=utf-8', 'event-pusher-host': 'localhost' };
      const session = { 'event-pusher-session': 'alice@localhost/phone' };
      const body = `<message xmlns='jabber:client' type='chat' from='alice@localhost/phone' to='bob@localhost'><body>${said}</body></message>`;
      const answer = await fetch(`${gate}/gate`, { method: 'POST', headers: { ...headers, ...session }, body });
      return [answer.status, await answer.text()];
    }
    expect(await ask('yes')).toEqual([204, '']);
    expect(await ask('no')).toEqual([403, 'Not now.']);
    expect((await ask('ill'))[0]).toBe(503);
    expect(rig.business.requests.map((request) => [request.path, contentOf(request)])).toEqual([
      [questionPath, 'yes'],
      [questionPath, 'no'],
      [questionPath, 'ill'],
    ]);
    expect(rig.backend.requests).toEqual([]);
  });
});

describe('a handler that asks before it pushes, and follows orders', () => {
  test('does not ask again when its push is replayed, and follows the response', async () => {
    let takes = false;
    await using rig = await startRig({ backend: () => (takes ? undefined : { kind: 'answer', status: 400 }) });
    rig.chat.say('Hi');
    await eventually(async () => (await rig.letters()).length === 1);
    const id = rig.business.requests[0]?.header('operationid');
    expect(await rig.letters()).toMatchObject([{ id: `${id}.1`, reason: 'refused' }]);
    expect([rig.ordered(), rig.messages()]).toEqual([[], []]);

    takes = true;
    expect(await rig.post('/dead-letters/replay', { all: true })).toMatchObject({ count: 1 });
    await eventually(() => rig.ordered().length === 1 && rig.messages().length === 1);
    expect(rig.ordered()[0]?.header('webhook-id')).toBe(`${id}.1.1`);
    expect(rig.business.requests).toHaveLength(1);
    expect(await rig.letters()).toEqual([]);
  });

  test('neither asks nor pushes again when an order is replayed', async () => {
    let takesOrders = false;
    await using rig = await startRig({ takesOrders: () => takesOrders });
    rig.chat.say('Hi');
    await eventually(async () => (await rig.letters()).length === 1);
    const id = rig.business.requests[0]?.header('operationid');
    expect(await rig.letters()).toMatchObject([{ id: `${id}.1.1`, reason: 'chain-failed' }]);

    takesOrders = true;
    expect(await rig.post('/dead-letters/replay', { all: true })).toMatchObject({ count: 1 });
    await eventually(() => rig.ordered().length === 2);
    await eventually(async () => expect(await owed(rig.pusher)).toBe(0));
    expect(rig.ordered().map((request) => request.header('webhook-id'))).toEqual(Array(2).fill(`${id}.1.1`));
    expect([rig.business.requests.length, rig.pushes().length, rig.messages().length]).toEqual([1, 1, 1]);
    expect(await rig.letters()).toEqual([]);
  });

  test('asks again when a packet without a push is replayed, and follows the response', async () => {
    await using rig = await startRig({ change: (config) => config.replace('callback_module = "five"', 'callback_module = "moody"') });
    rig.chat.say('Hi');
    await eventually(async () => (await rig.letters()).length === 1);
    expect(await rig.letters()).toMatchObject([{ reason: 'callback-failed' }]);
    expect(rig.backend.requests).toEqual([]);

    expect(await rig.post('/dead-letters/replay', { all: true })).toMatchObject({ count: 1 });
    await eventually(() => rig.ordered().length === 1 && rig.messages().length === 1);
    expect(rig.pushes().map(({ body }) => body.toString())).toEqual(['at last']);
    expect(rig.business.requests.map(contentOf)).toEqual(['Hi', 'Hi']);
    expect(await rig.letters()).toEqual([]);
  });

  test('orders nothing if the business server withholds the push', async () => {
    await using rig = await startRig({ business: (content) => (content === 'no' ? refusal : {}) });
    for (const said of ['no', 'yes']) rig.chat.say(said);
    await eventually(() => rig.ordered().length === 1 && rig.messages().length === 1);
    expect(rig.pushes().map(saidIn)).toEqual(['yes']);
  });

  test('gains and loses both by a reload', async () => {
    const errands = /\n *# OpenIM's callback before push\.[\s\S]*$/;
    let table = '';
    await using rig = await startRig({
      change: (config) => {
        table = errands.exec(config)?.[0] ?? '';
        return config.replace(errands, '\n');
      },
    });
    async function says(said: string): Promise<void> {
      rig.chat.say(said);
      await eventually(() => rig.pushes().map(saidIn).includes(said));
    }
    await says('plain');
    await rig.reload((config) => `${config}${table}`);
    await says('asked');
    await eventually(() => rig.ordered().length === 1 && rig.messages().length === 1);
    await rig.reload((config) => config.replace(table, ''));
    await says('plain again');
    await eventually(async () => expect(await owed(rig.pusher)).toBe(0));

    expect(rig.business.requests.map(contentOf)).toEqual(['asked']);
    expect([rig.ordered().length, rig.messages().length]).toEqual([1, 1]);
    expect(rig.pushes().map(saidIn)).toEqual(['plain', 'asked', 'plain again']);
  });
});

/** Deliveries of all pools that are not settled. */
async function owed({ get }: { get(path: string): Promise<{ readonly text: string }> }): Promise<number> {
  const { text } = await get('/metrics');
  const samples = [...text.matchAll(/^event_pusher_spool_depth\{[^}]*state="waiting"\} (\d+)$/gm)];
  return samples.reduce((sum, [, value]) => sum + Number(value), 0);
}
