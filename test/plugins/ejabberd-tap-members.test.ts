import { describe, expect, test } from 'vitest';
import { copiesForAbsentMembers } from '../conformance/tap-members.ts';
import { enter } from '../conformance/tap-rooms.ts';
import { crowd } from '../support/crowd.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { connectTapPusher, type TappedItem } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

copiesForAbsentMembers(ejabberd);

const tea = 'tea@rooms.localhost';
const mod_muc = { hosts: ['rooms.localhost'], history_size: 0, default_room_options: { allow_subscription: true, persistent: true } };

describe.skipIf(!ejabberd.isHere)('the members of a large room of ejabberd', () => {
  test('have one `out` of each message in order, by a subscription or as absent members, and beyond a limit they are counted', async () => {
    const guests = Object.keys(crowd(10));
    const users = { alice: 'pw', bob: 'pw', carol: 'pw', ...crowd(10) };
    await using chat = await ejabberd.startWith({ modules: { mod_muc, mod_muc_admin: {} }, users, maxMembers: 8 });
    await using pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.request({ epoch: '', h: 0, want: 'message members', dir: 'out' });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    await enter(alice, tea, 'Alice');
    for (const user of ['bob', 'carol', ...guests])
      await chat.api('set_room_affiliation', { name: 'tea', service: 'rooms.localhost', jid: `${user}@localhost`, affiliation: 'member' });
    const messages = '<event node="urn:xmpp:mucsub:nodes:messages"/>';
    await bob.ask(`<subscribe xmlns='urn:xmpp:mucsub:0' nick='Bob'>${messages}</subscribe>`, tea);
    for (const body of ['1', '2', '3']) {
      alice.send(`<message to='${tea}' type='groupchat'><body>${body}</body></message>`);
      await alice.next((stanza) => stanza.text('body') === body);
    }
    alice.sendChat(alice.bare, 'the end');

    const items = await pusher.itemsUntil('the end');
    const leftOut = Number((await pusher.fill({ epoch, h: 0 }))['left-out']);
    const total = 3 * 13 - leftOut;
    while (items.filter(isOfRoom).length < total) items.push(await pusher.item());
    const heard = groupedByReceiver(items.filter(isOfRoom));
    expect(leftOut % 3).toBe(0);
    expect(heard.size).toBe(13 - leftOut / 3);
    for (const [to, each] of heard) expect(each, to).toEqual(['1', '2', '3']);
    expect(items.filter(({ marks }) => marks['occupant'] === 'false').map(({ stanza }) => stanza?.attrs['to'])).not.toContain(
      'bob@localhost',
    );
    expect(heard.has('bob@localhost')).toBe(true);
    expect(leftOut).toBeGreaterThanOrEqual(9);
  });
});

function isOfRoom({ stanza }: TappedItem): boolean {
  return stanza?.attrs['from']?.startsWith(tea) === true && stanza.xml.includes('<body>');
}

function groupedByReceiver(items: readonly TappedItem[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const { stanza } of items) {
    const to = stanza?.attrs['to'] ?? '';
    const body = /<body>(.*?)<\/body>/.exec(stanza?.xml ?? '')?.[1] ?? '';
    groups.set(to, [...(groups.get(to) ?? []), body]);
  }
  return groups;
}
