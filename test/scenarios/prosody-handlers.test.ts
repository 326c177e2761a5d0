/** Packets of a real Prosody at several handlers, and their deliveries when a backend fails. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { form, startPushRig } from '../support/push-rig.ts';
import { startTarget, type Target } from '../support/target.ts';
import type { XmppUser } from '../support/xmpp-user.ts';

const hasProsody = await requirePackage('prosody');
const examples = fileURLToPath(new URL('../../examples/two-handlers', import.meta.url));

/** The default handler, and one that writes the packets that match a rule. */
const withWitness = (when: string) => `
[[modules.mod_event_pusher.backend.http]]
path = "/notifications"
[[modules.mod_event_pusher.backend.http]]
path = "/witness"
callback_module = "mod_event_pusher_http_json"
when = ${when}
`;

/** Questions of alice in the room: the rule names her JID, not her nickname. */
const nested = `
[[modules.mod_event_pusher.backend.http]]
path = "/nested"
callback_module = "mod_event_pusher_http_json"
when = { text = "T*?", sender = "alice@*", room = "tea@*", not = { direction = "in" }, any = [{ type = "chat" }, { stanza = "message" }] }
`;

describe.skipIf(!hasProsody)('packets of Prosody that meet a rule', () => {
  test('a room message is one `in` to the room and one `out` to each occupant of this host', async () => {
    await using prosody = await startProsody({ rooms: 'rooms.localhost', hosts: ['localhost', 'elsewhere.example'] });
    const handlers = `${withWitness('{ type = "groupchat" }')}${nested}`;
    await using rig = await startPushRig(prosody.componentPort, { handlers });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    await using guest = await prosody.connect({ user: 'carol', host: 'elsewhere.example' });
    for (const user of [alice, bob, guest]) await enterRoom(user);
    alice.send("<message to='tea@rooms.localhost' type='groupchat'><body>Tea?</body></message>");
    for (const user of [alice, bob, guest]) await user.next((stanza) => stanza.text('body') === 'Tea?');
    const inRoom = (body: string) => `<message to='tea@rooms.localhost' type='groupchat'><body>${body}</body></message>`;
    bob.send(inRoom('Tea?'));
    alice.send(inRoom('Coffee?'));
    alice.sendChat('bob@localhost', 'the last word');
    await rig.settled(14); // with the room's subject, which each new occupant receives

    const ofAlice = (line: string) => !line.includes('bob@localhost/desk > tea') && !line.includes('tea@rooms.localhost/bob');
    const routed = ['out tea@rooms.localhost/alice > alice@localhost/phone', 'out tea@rooms.localhost/alice > bob@localhost/desk'];
    expect(witnessed(rig.bodies('witness'), 'Tea?').filter(ofAlice).sort()).toEqual([
      'in alice@localhost/phone > tea@rooms.localhost',
      ...routed,
    ]);
    expect(witnessed(rig.bodies('nested'), 'Tea?').sort()).toEqual(routed);
    expect(rig.bodies('nested')).toHaveLength(2);
    expect(rig.messages()).toEqual(['the last word']);
  });

  test('a message to an offline user is an `out` without sessions, and matches the offline rule', async () => {
    await using prosody = await startProsody();
    const handlers = withWitness('{ offline = true, direction = "out" }');
    await using rig = await startPushRig(prosody.componentPort, { handlers });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using _bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    alice.sendChat('bob@localhost', 'to one who is here');
    alice.sendChat('carol@localhost', 'to one who is not');
    await rig.settled(3);

    expect(rig.messages().sort()).toEqual(['to one who is here', 'to one who is not']);
    expect(rig.bodies('witness').map((body) => JSON.parse(body))).toMatchObject([
      { direction: 'out', sessions: 0, body: 'to one who is not', to: { bare: 'carol@localhost' } },
    ]);
  });

  test('a message that its receiver blocks has an `in` and no `out`', async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { handlers: withWitness('{ stanza = "message", body = true }') });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    await bob.ask("<block xmlns='urn:xmpp:blocking'><item jid='alice@localhost'/></block>");
    alice.sendChat('bob@localhost', 'blocked');
    await alice.next(({ attrs }) => attrs['type'] === 'error');
    bob.sendChat('carol@localhost', 'the last word');
    await rig.settled(5);

    expect(witnessed(rig.bodies('witness'), 'blocked')).toEqual(['in alice@localhost/phone > bob@localhost']);
    expect(witnessed(rig.bodies('witness'), 'the last word').sort()).toEqual([
      'in bob@localhost/desk > carol@localhost',
      'out bob@localhost/desk > carol@localhost',
    ]);
  });

  test('two handlers with the example modules push their own parts over one pool', async () => {
    const modules = ['mod_event_pusher_http_notifications', 'mod_event_pusher_http_alerts'];
    const files = await Promise.all(
      modules.map(async (name) => [`${name}.mjs`, await readFile(`${examples}/callbacks/${name}.mjs`, 'utf8')] as const),
    );
    const text = await readFile(`${examples}/event-pusher.toml`, 'utf8');
    const handlers = text.slice(text.indexOf('[[modules.mod_event_pusher.backend.http]]'));
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { handlers, files: Object.fromEntries(files) });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using _bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    for (const body of ['Hi', '! Fire']) for (const to of ['bob@localhost', 'carol@localhost']) alice.sendChat(to, body);
    await rig.settled(4);

    expect(rig.bodies('notifications').sort()).toEqual([form('alice', 'carol', '%21+Fire'), form('alice', 'carol', 'Hi')]);
    expect(rig.bodies('alerts').map((body) => JSON.parse(body))).toMatchObject([
      { alert: 'Fire', from: 'alice@localhost', to: 'bob@localhost' },
      { alert: 'Fire', from: 'alice@localhost', to: 'carol@localhost' },
    ]);
  });
});

describe.skipIf(!hasProsody)('a backend of Prosody’s users that fails', () => {
  test('gets all deliveries after an outage: in order, under the same ids, with attempt numbers', async () => {
    await using prosody = await startProsody();
    const schedule = Array.from({ length: 200 }, () => '100ms');
    const pool = `retry = { schedule = ${JSON.stringify(schedule)}, jitter = 0 }`;
    await using rig = await startPushRig(prosody.componentPort, { pool, script: () => ({ kind: 'answer', status: 503 }) });
    await using alice = await prosody.connect({ user: 'alice' });
    await using carol = await prosody.connect({ user: 'carol' });
    const bodies = ['one', 'two', 'three', 'four', 'five'];
    for (const body of bodies) for (const user of [alice, carol]) user.sendChat('bob@localhost', body);
    await rig.backend.received(4);
    await rig.backend.stop();
    const unreachable = () => new Set(rig.pusher.log.filter((line) => line['outcome'] === 'unreachable').map((line) => line['id']));
    await eventually(() => unreachable().size === 2); // the first of each conversation

    await using recovered = await startTarget({ port: rig.backend.port });
    await recovered.received(bodies.length * 2);
    await rig.settled(bodies.length * 2);

    for (const author of ['alice', 'carol']) {
      const refused = requestsOf(author, rig.backend);
      const accepted = requestsOf(author, recovered);
      expect(accepted.map(({ message }) => message)).toEqual(bodies);
      expect(new Set(accepted.map(({ id }) => id)).size).toBe(bodies.length);
      expect(new Set(refused.map(({ message }) => message))).toEqual(new Set(['one'])); // the others wait for it
      expect(new Set([...refused, ...accepted.slice(0, 1)].map(({ id }) => id)).size).toBe(1);
      expect(refused.map(({ attempt }) => attempt)).toEqual(refused.map((_, index) => index + 1));
      expect(accepted.map(({ attempt }) => attempt).slice(1)).toEqual([1, 1, 1, 1]);
      expect(accepted[0]?.attempt).toBeGreaterThan(refused.length + 1); // the refused connections count too
    }
    const failed = await rig.metric('mod_event_pusher_http_failed_total{host="localhost"}');
    expect(failed).toBeGreaterThanOrEqual(rig.backend.requests.length + 2);
  });
});

async function enterRoom(user: XmppUser): Promise<void> {
  const [nick] = user.bare.split('@');
  user.send(`<presence to='tea@rooms.localhost/${nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await user.next(({ name, attrs, xml }) => name === 'message' && attrs['type'] === 'groupchat' && xml.includes('<subject'));
}

/** The lines of the witness for a message, one per packet. */
function witnessed(bodies: readonly string[], message: string): string[] {
  return bodies
    .map((body) => JSON.parse(body))
    .filter(({ body }) => body === message)
    .map(({ direction, from, to }) => `${direction} ${from.full} > ${to.full}`);
}

function requestsOf(author: string, backend: Target) {
  return backend.requests
    .map((request) => ({
      form: new URLSearchParams(request.body.toString()),
      id: request.header('webhook-id'),
      attempt: Number(request.header('event-pusher-attempt')),
    }))
    .filter(({ form: sent }) => sent.get('author') === author)
    .map(({ form: sent, id, attempt }) => ({ message: sent.get('message'), id, attempt }));
}
