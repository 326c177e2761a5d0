import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { guardDestination } from '../pools/destination-guard.ts';
import { bareJidOf } from '../src/admin/api/bare-jid.ts';
import { loadConfig } from '../src/config/load.ts';
import { readAnswer } from '../src/delivery/ask/answer.ts';
import { begin, conclude } from '../src/delivery/attempt.ts';
import { createFollowUp } from '../src/delivery/follow-up/follow-up.ts';
import { rulesOf } from '../src/delivery/policy.ts';
import type { Packet } from '../src/model/packet.ts';
import { createEventBus } from '../src/telemetry/events.ts';
import { makeDelivery } from './spool/build.ts';
import { decideInNode } from './support/decide-in-node.ts';
import { deliverInNode } from './support/deliver-in-node.ts';
import { evaluateInNode } from './support/evaluate-in-node.ts';
import { chat, makePacket } from './support/make-packet.ts';
import { makePoolConfig } from './support/make-pool.ts';
import { startTarget } from './support/target.ts';

const examples = fileURLToPath(new URL('../examples', import.meta.url));
const form = (message: string) => `author=alice&server=localhost&receiver=bob&message=${message}`;

describe('every example', async () => {
  test.each(await readdir(examples))('%s has a configuration that loads and attaches somewhere', async (name) => {
    const config = await loadConfig(`${examples}/${name}/event-pusher.toml`, {
      PUSHER_SECRET: 'secret',
      GATE_TOKEN: 'token',
      GOOGLE_APPLICATION_CREDENTIALS: 'service-account.json',
      FCM_TOKENS: 'tokens.json',
    });

    expect(config.attachments.length).toBeGreaterThan(0);
    expect(config.handlers.length).toBeGreaterThan(0);
    for (const handler of config.handlers) expect(handler.name).not.toMatch(/-[0-9a-f]{8}$/); // made of its path: unstable
    expect(config.notices).toEqual([]);
  });
});

describe('the example with two handlers', () => {
  const cases: [string, Packet, [path: string, body: string][]][] = [
    [
      'a message to a user who is offline',
      makePacket({ direction: 'out', sessions: 0 }),
      [['/webservice/notifications', form('Hi%2C+Bob%21')]],
    ],
    ['a message to a user who is online', makePacket({ direction: 'out', sessions: 1 }), []],
    ['a message without the mark, coming in', makePacket(), []],
    [
      'an alert, coming in',
      makePacket({ stanza: chat('! The roof is on fire') }),
      [
        [
          '/webservice/alerts',
          JSON.stringify({ alert: 'The roof is on fire', from: 'alice@localhost', to: 'bob@localhost', at: '2026-11-22T10:30:00.125Z' }),
        ],
      ],
    ],
    [
      'an alert on its way to a user who is offline',
      makePacket({ stanza: chat('! Fire'), direction: 'out', sessions: 0 }),
      [['/webservice/notifications', form('%21+Fire')]],
    ],
  ];

  const evaluations = evaluateInNode(
    `${examples}/two-handlers/event-pusher.toml`,
    cases.map(([, packet]) => packet),
  );

  test.each(cases.map(([name, , expected], index) => [name, expected, index] as const))(
    'pushes for %s what it should',
    async (_, expected, index) => {
      const evaluation = (await evaluations)[index];

      expect(evaluation?.deadLetters).toEqual([]);
      expect(evaluation?.deliveries.map(({ target, body }) => [target.path, body])).toEqual(expected);
    },
  );
});

test('the example for ejabberd pushes messages as JSON', async () => {
  const sent = makePacket({ host: 'chat.example', origin: 'ejabberd' });
  const routed = makePacket({ host: 'chat.example', direction: 'out' });

  const evaluations = await evaluateInNode(`${examples}/ejabberd/event-pusher.toml`, [sent, routed]);

  expect(evaluations.map(({ deliveries }) => deliveries.map(({ body }) => JSON.parse(String(body))))).toMatchObject([
    [{ body: 'Hi, Bob!', origin: 'ejabberd' }],
    [],
  ]);
});

test('the example with a gate refuses one word and masks others', async () => {
  const said = ['Hi, Bob!', 'Come to the CASINO!', 'What the Heck? Darn…', 'casinos, heckling'];
  const packets = said.map((body) => makePacket({ host: 'chat.example', stanza: chat(body) }));

  expect(await decideInNode(`${examples}/gate/event-pusher.toml`, packets)).toEqual([
    { kind: 'allowed' },
    { kind: 'refused', text: 'Your message was not sent: it has a word that is not wanted here.' },
    { kind: 'changed', body: 'What the ****? ****…' },
    { kind: 'allowed' },
  ]);
});

test('the example of an account pushes what it hears, and not what is said with it', async () => {
  const heard = makePacket({ host: 'chat.example', direction: 'out', origin: 'bot' });
  const said = makePacket({ host: 'chat.example', origin: 'bot' });

  const evaluations = await evaluateInNode(`${examples}/account/event-pusher.toml`, [heard, said]);

  expect(evaluations.map(({ deliveries }) => deliveries.map(({ body }) => JSON.parse(String(body))))).toMatchObject([
    [{ body: 'Hi, Bob!', origin: 'bot' }],
    [],
  ]);
});

describe('the example whose backend says in a header what it did', () => {
  const file = `${examples}/notification-status/event-pusher.toml`;

  test.each([
    ['delivered', 'success', 'X-NotificationStatus: Received', 200, ''],
    ['tried again', 'tempfailed', 'X-NotificationStatus: Suppressed', 1001, ''],
    ['tried again', 'tempfailed', 'X-NotificationStatus: QueueFull', 1001, ''],
    ['given up', 'permfailed', 'X-SubscriptionStatus: Expired', 1002, 'was given up: the subscription has expired'],
  ] as const)('is %s (%s) for a 200 with %s', async (_what, verdict, header, status, written) => {
    const [name = '', value = ''] = header.split(': ');
    await using target = await startTarget({ script: () => ({ kind: 'answer', headers: [[name, value]] }) });

    const { judged, failures, stderr } = await deliverInNode(file, target.origin, verdict === 'permfailed' ? 'dead' : 'retry');

    expect(judged).toMatchObject({ outcome: { kind: 'answered', status: 200 }, judgement: { verdict, status } });
    expect(target.requests[0]?.header('x-notificationclass')).toBe('2');
    expect(target.requests[0]?.body.toString()).toMatch(/^<message /);
    expect(failures).toEqual([]);
    expect(stderr).toContain(written);
  });
});

test('the example whose backend orders more does to the letter what its page shows', async () => {
  const { handlers, pools } = await loadConfig(`${examples}/follow-up/event-pusher.toml`, { PUSHER_SECRET: 'secret' });
  const [handler] = handlers;
  const page = await readFile(`${examples}/follow-up/README.md`, 'utf8');
  const [, answer = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const outcome = {
    kind: 'answered',
    status: 200,
    durationMs: 1,
    retryAfter: undefined,
    excerpt: '',
    truncated: false,
    body: answer,
  } as const;
  const push = { ...makeDelivery({ handler: handler?.name ?? '' }), seq: 1, attempts: 0, failingSince: undefined, context: {} };
  const policy = rulesOf(makePoolConfig(), handlers, []).policyFor(push);
  const concluded = conclude(begin(push, policy), { outcome, judgement: undefined }, { now: 0, random: () => 0 });

  const sequel = await createFollowUp({ configOf: () => handler?.followUp, bareOf: bareJidOf, events: createEventBus() })(concluded);

  const [, head = '', body] = /\n {4}(POST [\s\S]*?)\n\n {4}(.*)\n/.exec(page) ?? [];
  expect(head).toContain(`content-length: ${Buffer.byteLength(body ?? '')}\n`.trim());
  expect(sequel?.spawn).toMatchObject([
    {
      body,
      target: {
        method: 'POST',
        path: '/measures/',
        headers: [['Content-Type', 'application/json; charset=utf-8']],
        purpose: { origin: 'http://10.0.0.172:5984' },
      },
    },
    { body: 'Your submission was received, thank you.', target: { from: 'bot@pusher.localhost', to: 'alice@localhost' } },
  ]);
  const [order, message] = sequel?.spawn ?? [];
  expect(order?.target).not.toHaveProperty('purpose.fault');
  expect(message?.target).not.toHaveProperty('fault');
  const destination = { origin: 'http://10.0.0.172:5984', allow: handler?.followUp?.allow ?? [], ownOrigin: pools[0]?.origin ?? '' };
  expect(guardDestination(destination).refusal).toBeUndefined();
});

describe('the example with a business server', () => {
  const file = `${examples}/ask-before-push/event-pusher.toml`;
  const seen = { direction: 'out', sessions: 0 } as const;
  const message = (to: string) => makePacket({ ...seen, stanza: chat('Hi!').replace('bob@localhost', to) });
  const leave = makePacket({
    ...{ direction: 'out', kind: 'room-left' },
    stanza:
      "<presence xmlns='jabber:client' type='unavailable' from='tea@rooms.localhost/al' to='alice@localhost/phone'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>",
  });

  test('asks it, and it decides', async () => {
    await using server = await startBusinessServer();
    const packets = [message('alice@localhost'), message('bob@localhost'), message('carol@localhost'), leave];
    const asks = (await evaluateInNode(file, packets)).flatMap(({ deliveries }) => deliveries);

    expect(asks.map(({ handler, pool, target }) => [handler, pool, target.path])).toEqual(
      ['messages', 'messages', 'messages', 'rooms'].map((name) => [
        `${name}:ask`,
        'business_server',
        '/callback?command=callbackBeforePushCommand&contenttype=json',
      ]),
    );
    expect(await Promise.all(asks.map(({ body }) => server.ask(String(body))))).toMatchObject([
      { kind: 'allowed', userIDList: undefined, offlinePushInfo: { title: 'Message from alice', desc: 'Hi!' } },
      { kind: 'withheld', errCode: 5002, errMsg: 'do not disturb' },
      { kind: 'allowed', userIDList: ['carol', 'dave'] },
      { kind: 'withheld', errCode: 5001 },
    ]);
  });

  /** The script as a process of its own, on a free port. */
  async function startBusinessServer() {
    const child = spawn(process.execPath, [`${examples}/ask-before-push/business-server.mjs`], { env: { ...process.env, PORT: '0' } });
    const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
    const origin = String(line).trim().replace('listening on ', '');
    return {
      ask: async (body: string) => {
        const answer = await fetch(origin, { method: 'POST', body });
        const told = {
          status: answer.status,
          body: await answer.text(),
          durationMs: 1,
          retryAfter: undefined,
          excerpt: '',
          truncated: false,
        };
        return readAnswer({ kind: 'answered', ...told });
      },
      [Symbol.asyncDispose]: async () => {
        child.kill();
        await once(child, 'exit');
      },
    };
  }
});
