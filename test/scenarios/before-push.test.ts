/** The built service with a real Prosody, a business server that it asks first, and the backend of its pushes. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { type Prosody, startProsody } from '../support/prosody.ts';
import { type PushRig, startPushRig } from '../support/push-rig.ts';
import type { LogLine } from '../support/pusher.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import { type Answer, freePort, startTarget, type Target } from '../support/target.ts';
import type { XmppUser } from '../support/xmpp-user.ts';

const hasProsody = await requirePackage('prosody');

const questionPath = '/im/callback?command=callbackBeforePushCommand&contenttype=json';

const chats = '{ type = "chat", direction = "in", body = true }';
const roomNews = '{ direction = "out", kind = ["room-left", "room-removed", "room-destroyed"] }';

/** A second handler, which asks about the ends of stays and about offline receivers in the form of OpenIM 3. */
const asOpenIm3 = `
[[modules.mod_event_pusher.backend.http]]
path = "/v3"
callback_module = "mod_event_pusher_http_json"
when = { any = [${roomNews}, { event = "offline" }] }
before_push = { pool_name = "business", path = "/v3/", form = "openim-3" }
`;

function handlers(business: string, beforePush: string, { pool = '', when = chats } = {}): string {
  return `
[outgoing_pools.http.business]
workers = 5
${pool}
[outgoing_pools.http.business.connection]
host = "${business}"
path_prefix = "/im"
[[modules.mod_event_pusher.backend.http]]
name = "push"
path = "/notifications"
callback_module = "mod_event_pusher_http_json"
when = ${when}
[modules.mod_event_pusher.backend.http.before_push]
pool_name = "business"
path = "/callback"
${beforePush}
`;
}

/** The answer of the business server to a message. */
const allow = (answer: object = {}): Answer => ({
  kind: 'answer',
  body: JSON.stringify({ actionCode: 0, errCode: 0, nextCode: '', ...answer }),
});

function contentOf({ body }: TargetRequest): string {
  return JSON.parse(body.toString()).content;
}

interface Push {
  readonly to: string;
  readonly body: string;
  readonly offlinePushInfo: unknown;
}

/** Receiver, message and text of each push, by receiver: only the pushes to one receiver are in order. */
function pushesOf(rig: PushRig): readonly Push[] {
  const pushes: readonly Push[] = rig.bodies().map((body) => {
    const push = JSON.parse(body);
    return { to: push.to.bare, body: push.body, offlinePushInfo: push.offlinePushInfo };
  });
  return pushes.toSorted((one, other) => one.to.localeCompare(other.to));
}

async function say(prosody: Prosody, ...bodies: readonly string[]): Promise<void> {
  await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
  await using bob = await prosody.connect({ user: 'bob', resource: 'desk' });
  for (const body of bodies) {
    alice.sendChat('bob@localhost', body);
    await bob.next((stanza) => stanza.text('body') === body);
  }
}

async function enterRoom(user: XmppUser, room: string): Promise<void> {
  const [nick] = user.bare.split('@');
  user.send(`<presence to='${room}/${nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await user.next(({ attrs, xml }) => attrs['type'] === 'groupchat' && xml.includes('<subject'));
}

/** Resolves when the room has reported the removal to a user. */
async function left(user: XmppUser): Promise<void> {
  await user.next(({ attrs, xml }) => attrs['type'] === 'unavailable' && /code="110"|<destroy/.test(xml));
}

/** Resolves when this number of questions has ended and no delivery is pending. */
async function overWith(rig: PushRig, questions: number): Promise<void> {
  await eventually(async () => {
    let over = 0;
    for (const result of ['allowed', 'failed', 'withheld'])
      over += await rig.metric(`event_pusher_asks_total{handler="push",result="${result}"}`);
    let owed = 0;
    for (const pool of ['business', 'http_pool']) owed += await rig.metric(`event_pusher_spool_depth{pool="${pool}",state="waiting"}`);
    if (over < questions || owed > 0) throw new Error(`${over} questions ended, ${owed} deliveries pending`);
  });
}

async function withheldBy(rig: PushRig): Promise<readonly object[]> {
  return JSON.parse((await rig.pusher.get('/api/v1/withheld')).text);
}

describe.skipIf(!hasProsody)('a business server that is asked before a push', () => {
  test('allows, refuses, changes the receivers, and sets the text of the push', async () => {
    const answers: Readonly<Record<string, Answer>> = {
      plain: allow({ userIDList: null }),
      refused: allow({ nextCode: 1, errCode: 5001, errMsg: 'An error message', errDlt: 'Detailed error information' }),
      elsewhere: allow({ userIDList: ['carol', 'dave@elsewhere.example'] }),
      nobody: allow({ userIDList: [] }),
      titled: allow({ offlinePushInfo: { title: 'New Message', desc: 'You have a new message', iOSBadgeCount: true } }),
    };
    await using business = await startTarget({ script: (request) => answers[contentOf(request)] ?? allow() });
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { handlers: handlers(business.origin, '') });
    await say(prosody, ...Object.keys(answers));
    await overWith(rig, 5);

    expect(pushesOf(rig)).toEqual([
      { to: 'bob@localhost', body: 'plain', offlinePushInfo: null },
      {
        to: 'bob@localhost',
        body: 'titled',
        offlinePushInfo: { title: 'New Message', desc: 'You have a new message', iOSBadgeCount: true },
      },
      { to: 'carol@localhost', body: 'elsewhere', offlinePushInfo: null },
      { to: 'dave@elsewhere.example', body: 'elsewhere', offlinePushInfo: null },
    ]);
    expect(business.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(Array(5).fill(`POST ${questionPath}`));
    const [first] = business.requests;
    expect(first?.header('content-type')).toBe('application/json');
    expect(JSON.parse(first?.body.toString() ?? '')).toMatchObject({
      ...{
        callbackCommand: 'callbackBeforePushCommand',
        sendID: 'alice',
        userIDList: ['bob'],
        content: 'plain',
        contentType: 1,
        sessionType: 1,
      },
    });

    const operationIds = business.requests.map((request) => request.header('operationid'));
    expect(new Set(operationIds).size).toBe(5);
    expect(rig.backend.requests.map((request) => request.header('webhook-id')).toSorted()).toEqual(
      [`${operationIds[0]}.1`, `${operationIds[2]}.1`, `${operationIds[2]}.2`, `${operationIds[4]}.1`].toSorted(),
    );
    expect(await withheldBy(rig)).toMatchObject([
      {
        id: operationIds[1],
        handler: 'push',
        why: 'refused',
        errCode: 5001,
        errMsg: 'An error message',
        errDlt: 'Detailed error information',
      },
      { id: operationIds[3], handler: 'push', why: 'no-receiver', errCode: null },
    ]);
    expect(JSON.parse((await rig.pusher.get('/api/v1/dead-letters')).text)).toEqual([]);
    const isSecond = (line: LogLine) => line['operationID'] === operationIds[1];
    expect(await rig.pusher.logged('push.withheld', 1, isSecond)).toHaveLength(1);
    expect(await rig.metric('mod_event_pusher_http_sent_total{host="localhost"}')).toBe(4);
  });

  test.each(['continue', 'refuse'] as const)(
    'withholds a push with an invalid list of receivers if on_failure is %s',
    async (onFailure) => {
      const answers: Readonly<Record<string, object>> = {
        'no actionCode': { nextCode: 1, errCode: 5001, errMsg: 'no' },
        'a failure that refuses': { actionCode: 1, nextCode: 1, errCode: 5002, errMsg: 'no' },
        'a name that is a number': { actionCode: 0, userIDList: [123] },
        'one invalid name': { actionCode: 0, userIDList: ['carol', 'a b@'] },
        'no actionCode, allowed': {},
      };
      const script = (request: TargetRequest): Answer => ({ kind: 'answer', body: JSON.stringify(answers[contentOf(request)]) });
      await using business = await startTarget({ script });
      await using prosody = await startProsody();
      const beforePush = `on_failure = "${onFailure}"`;
      await using rig = await startPushRig(prosody.componentPort, { handlers: handlers(business.origin, beforePush) });
      await say(prosody, ...Object.keys(answers));
      await overWith(rig, 5);

      expect(pushesOf(rig).map(({ body }) => body)).toEqual(['no actionCode, allowed']);
      expect(await withheldBy(rig)).toMatchObject([
        { why: 'refused', errCode: 5001 },
        { why: 'refused', errCode: 5002 },
        { why: 'bad-answer' },
        { why: 'bad-answer' },
      ]);
    },
  );

  const broken: Readonly<Record<string, [reason: string, answer: Answer]>> = {
    slow: ['timed-out', { kind: 'silent' }],
    late: ['timed-out', { kind: 'slow-body', chunks: ['{', '}'], gapMs: Number.POSITIVE_INFINITY }],
    'no JSON': ['bad-answer', { kind: 'answer', body: '<html>' }],
    'cut short': ['bad-answer', { kind: 'answer', body: JSON.stringify({ actionCode: 0, pad: 'x'.repeat(5000) }) }],
    failing: ['action-code', { kind: 'answer', body: JSON.stringify({ actionCode: 1, errCode: 5002, errMsg: 'we are ill' }) }],
    'an error': ['bad-status', { kind: 'answer', status: 500, body: JSON.stringify({ actionCode: 0 }) }],
    busy: ['bad-status', { kind: 'answer', status: 429, headers: [['retry-after', '3600']] }],
    reset: ['broken', { kind: 'reset' }],
  };

  test.each(['continue', 'refuse'] as const)('without a valid answer: %s', async (onFailure) => {
    await using business = await startTarget({ script: (request) => broken[contentOf(request)]?.[1] ?? allow() });
    await using prosody = await startProsody();
    const beforePush = `timeout = 3000\non_failure = "${onFailure}"`;
    const pool = 'max_response_size = 4096\ncircuit_breaker = false';
    await using rig = await startPushRig(prosody.componentPort, { handlers: handlers(business.origin, beforePush, { pool }) });
    const said = [...Object.keys(broken), 'well'];
    for (const body of said) {
      await say(prosody, body);
      await overWith(rig, said.indexOf(body) + 1);
    }

    expect(pushesOf(rig).map(({ body }) => body)).toEqual(onFailure === 'continue' ? said : ['well']);
    // A request that was reset without a response on a reused connection is sent once more: the connection may have been stale.
    expect(new Set(business.requests.map((request) => request.header('operationid'))).size).toBe(said.length);
    const withheld = onFailure === 'continue' ? [] : Object.values(broken).map(([why]) => ({ why }));
    expect(await withheldBy(rig)).toMatchObject(withheld);
    for (const reason of ['timed-out', 'bad-answer', 'bad-status'])
      expect(await rig.metric(`event_pusher_ask_failures_total{handler="push",reason="${reason}"}`)).toBe(2);
  });

  test('that is slow delays only its own conversation', async () => {
    await using business = await startTarget({ script: (request) => (contentOf(request) === 'slow' ? { kind: 'silent' } : allow()) });
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { handlers: handlers(business.origin, 'timeout = "10m"') });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    alice.sendChat('bob@localhost', 'slow');
    alice.sendChat('bob@localhost', 'behind it');
    for (let message = 0; message < 20; message += 1) alice.sendChat('carol@localhost', `message ${message}`);
    await rig.backend.received(20);
    expect(pushesOf(rig).map(({ to }) => to)).toEqual(Array(20).fill('carol@localhost'));
    expect(business.requests.map(contentOf)).not.toContain('behind it');
  });

  test('is asked once about each user who leaves a room, is removed from it, or is in a destroyed room, in both forms', async () => {
    const script = ({ path }: TargetRequest) => allow(path.includes('Offline') ? { userIDList: [] } : {});
    const users = { alice: 'pw', bob: 'pw', carol: 'pw', dave: 'pw' };
    await using business = await startTarget({ script });
    await using prosody = await startProsody({ rooms: 'rooms.localhost', users });
    await using rig = await startPushRig(prosody.componentPort, {
      handlers: `${handlers(business.origin, '', { when: roomNews })}${asOpenIm3}`,
    });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    await using carol = await prosody.connect({ user: 'carol', resource: 'web' });
    const room = 'tea@rooms.localhost';
    const manage = (payload: string, kind = 'admin') =>
      alice.ask(`<query xmlns='http://jabber.org/protocol/muc#${kind}'>${payload}</query>`, room);
    for (const user of [alice, bob, carol]) await enterRoom(user, room);

    bob.send(`<presence type='unavailable' to='${room}/bob'><status>Bye</status></presence>`);
    await left(bob);
    await manage("<item nick='carol' role='none'><reason>Enough</reason></item>");
    await left(carol);
    for (const user of [bob, carol]) await enterRoom(user, room);
    await manage("<item jid='carol@localhost' affiliation='outcast'/>");
    await left(carol);
    await manage('<destroy><reason>Over</reason></destroy>', 'owner');
    await left(bob);
    alice.sendChat('dave@localhost', 'offline');
    await rig.backend.received(11);
    await overWith(rig, 5);

    const bodiesAt = (start: string) =>
      business.requests.filter(({ path }) => path.startsWith(start)).map(({ body }) => JSON.parse(body.toString()));
    const asked = bodiesAt('/im/callback?');
    const lines = asked.map(({ contentType, sendID, userIDList, content }) => [contentType, sendID, ...userIDList, content].join(' '));
    expect(lines.sort()).toEqual([
      '1504 bob bob Bye',
      `1508 ${room}/alice carol `,
      `1508 ${room}/alice carol Enough`,
      `1511 ${room} alice Over`,
      `1511 ${room} bob Over`,
    ]);
    expect(asked.every(({ groupID, sessionType }) => groupID === room && sessionType === 2)).toBe(true);
    expect(rig.bodies().map((body) => JSON.parse(body).kind)).toHaveLength(5);

    expect(bodiesAt('/im/v3/callbackBeforeOnlinePushCommand').map(({ contentType, userIDList }) => [contentType, ...userIDList])).toEqual(
      asked.map(({ contentType, userIDList }) => [contentType, ...userIDList]),
    );
    expect(bodiesAt('/im/v3/callbackBeforeOfflinePushCommand')).toMatchObject([{ userIDList: ['dave'], content: '{"content":"offline"}' }]);
    expect(rig.bodies('v3').filter((body) => JSON.parse(body).kind === 'message')).toHaveLength(1); // despite the empty list
  });

  test('that is down delays no push', async () => {
    await using prosody = await startProsody();
    const unreachable = `http://127.0.0.1:${await freePort()}`;
    await using rig = await startPushRig(prosody.componentPort, {
      handlers: handlers(unreachable, '', { pool: 'circuit_breaker = { min_attempts = 3, window = "1h", open = "1h", max_open = "1h" }' }),
    });
    const said = Array.from({ length: 10 }, (_, index) => `message ${index}`);
    await say(prosody, ...said);
    await overWith(rig, 10);
    expect(pushesOf(rig).map(({ body }) => body)).toEqual(said);
    expect(await rig.metric('event_pusher_ask_failures_total{handler="push",reason="unreachable"}')).toBe(3);
    expect(await rig.metric('event_pusher_ask_failures_total{handler="push",reason="not-asked"}')).toBe(7);
    expect(await rig.metric('event_pusher_breaker_state{pool="http_pool",handler="push"}')).toBe(0);
  });
});

describe.skipIf(!hasProsody)('an operator', () => {
  async function post(rig: PushRig, path: string, asked: object) {
    const { admin } = await rig.pusher.said((line) => line.event === 'ready');
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${admin}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(asked) });
    return await answer.json();
  }

  test('replays a refused push without asking again, and shows the answer', async () => {
    let takes = false;
    await using business = await startTarget({ script: () => allow({ userIDList: ['carol'], offlinePushInfo: { title: 'T' } }) });
    await using prosody = await startProsody();
    const script = (): Answer => ({ kind: 'answer', status: takes ? 200 : 400 });
    await using rig = await startPushRig(prosody.componentPort, { script, handlers: handlers(business.origin, '') });
    await say(prosody, 'one');
    await overWith(rig, 1);
    const [letter] = JSON.parse((await rig.pusher.get('/api/v1/dead-letters')).text);
    const shown = JSON.parse((await rig.pusher.get(`/api/v1/dead-letters/${letter.id}?content=true`)).text);
    expect(shown).toMatchObject({
      ...{ handler: 'push', pool: 'http_pool', receiver: 'carol@localhost' },
      target: { answered: { result: 'allowed', userIDList: ['carol'], offlinePushInfo: { title: 'T' } } },
    });

    takes = true;
    expect(await post(rig, '/dead-letters/replay', { all: true })).toMatchObject({ count: 1, failed: 0 });
    await rig.settled(1);
    expect(business.requests).toHaveLength(1);
    expect(rig.backend.requests.map((request) => request.header('webhook-id'))).toEqual([letter.id, letter.id]);
  });

  test('tests a handler: first the question, then the allowed push', async () => {
    let answer = allow({ offlinePushInfo: { title: 'T' } });
    await using business = await startTarget({ script: () => answer });
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { handlers: handlers(business.origin, '') });

    expect(await post(rig, '/send-test', { handler: 'push' })).toMatchObject({
      accepted: true,
      url: `${rig.backend.origin}/webservice/notifications`,
    });
    expect(pushesOf(rig)).toMatchObject([{ offlinePushInfo: { title: 'T' } }]);
    expect([...business.requests, ...rig.backend.requests].map((request) => request.header('event-pusher-test'))).toEqual(['1', '1']);

    answer = allow({ nextCode: 1, errCode: 5001, errMsg: 'not now' });
    expect(await post(rig, '/send-test', { handler: 'push' })).toMatchObject({
      ...{ accepted: false, url: `${business.origin}${questionPath}`, reason: 'the business server withholds it: 5001 not now' },
    });
    answer = { kind: 'answer', status: 500 };
    expect(await post(rig, '/send-test', { handler: 'push' })).toMatchObject({
      accepted: false,
      reason: expect.stringContaining('bad-status'),
    });
    expect(rig.backend.requests).toHaveLength(1);
    expect(await rig.metric('event_pusher_asks_total{handler="push",result="allowed"}')).toBe(0);
  });

  test('removes before_push and moves the waiting questions to the pushes', async () => {
    await using business = await startTarget({ script: () => ({ kind: 'silent' }) });
    await using prosody = await startProsody();
    const setUp = { handlers: `[service]\ndrain_timeout = "1s"\n${handlers(business.origin, 'timeout = "10m"')}` };
    await using rig = await startPushRig(prosody.componentPort, setUp);
    await say(prosody, 'one', 'two');
    await eventually(async () => expect(await rig.metric('event_pusher_accepted_total{pool="business"}')).toBe(2));
    await business.received(1);
    const file = join(rig.pusher.folder, 'event-pusher.toml');
    const text = await readFile(file, 'utf8');
    await writeFile(
      file,
      text.replace(/\[outgoing_pools.http.business\][\s\S]*?(?=\[\[modules)/, '').replace(/\[[^[\]]*before_push\][\s\S]*/, ''),
    );
    rig.pusher.signal('SIGHUP');
    await rig.pusher.said((line) => line.event === 'config.reload');

    const [{ pool, handler, waiting }] = await orphansOf(rig);
    expect([pool, handler, waiting]).toEqual(['business', 'push:ask', 2]);
    await post(rig, '/orphans/move', { from: { pool, handler }, to: { pool: 'http_pool', handler: 'push' } });
    await rig.backend.received(2);
    expect(pushesOf(rig).map(({ body }) => body)).toEqual(['one', 'two']);
  });

  async function orphansOf(rig: PushRig) {
    return JSON.parse((await rig.pusher.get('/api/v1/orphans')).text);
  }
});

describe.skipIf(!hasProsody)('kill -9', () => {
  function idsOf(target: Target, header: string): readonly (string | undefined)[] {
    return target.requests.map((request) => request.header(header));
  }

  test('between question and push repeats the question with the same operationID, and pushes once', async () => {
    let answers = false;
    await using business = await startTarget({ script: () => (answers ? allow() : { kind: 'silent' }) });
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { handlers: handlers(business.origin, 'timeout = "10m"') });
    await say(prosody, 'one', 'two');
    await business.received(1);
    await rig.pusher.kill();
    answers = true;
    await rig.pusher.start();
    await overWith(rig, 2);

    const [first, again, second] = idsOf(business, 'operationid');
    expect(again).toBe(first);
    expect(second).not.toBe(first);
    expect(idsOf(rig.backend, 'webhook-id')).toEqual([`${first}.1`, `${second}.1`]);
    expect(pushesOf(rig).map(({ body }) => body)).toEqual(['one', 'two']);
  });

  test('between answer and push keeps the answer without asking again', async () => {
    let takes = false;
    await using business = await startTarget({ script: () => allow({ userIDList: ['carol'], offlinePushInfo: { title: 'T' } }) });
    await using backend = await startTarget({ script: () => (takes ? { kind: 'answer' } : { kind: 'silent' }) });
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { backend, handlers: handlers(business.origin, '') });
    await say(prosody, 'one');
    await backend.received(1);
    await rig.pusher.kill();
    takes = true;
    await rig.pusher.start();
    await eventually(() => backend.requests.length === 2);

    expect(business.requests).toHaveLength(1);
    expect(new Set(idsOf(backend, 'webhook-id'))).toEqual(new Set([`${idsOf(business, 'operationid')[0]}.1`]));
    const push = { to: 'carol@localhost', body: 'one', offlinePushInfo: { title: 'T' } };
    expect(pushesOf(rig)).toEqual([push, push]);
  });
});
