import { describe, expect, test } from 'vitest';
import { copiesForAbsentMembers } from '../conformance/tap-members.ts';
import { enter } from '../conformance/tap-rooms.ts';
import { crowd } from '../support/crowd.ts';
import { type Prosody, startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { attachTap, type TapPusher, type TappedItem } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

copiesForAbsentMembers(prosody);

const tea = 'tea@rooms.localhost';

describe.skipIf(!prosody.isHere)('the members of a large room of Prosody', () => {
  test('have the messages in their order, over several turns of the event loop, and beyond a limit they are counted', async () => {
    const users = crowd(260);
    const config = 'event_pusher_tap_max_members = 250';
    await using prosody = await startProsody({ rooms: 'rooms.localhost', users: { alice: 'pw', ...users }, config });
    await using pusher = await attachTap(prosody, 'members');
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await enter(alice, tea, 'Alice');
    await makeMembers(prosody, Object.keys(users));
    for (const body of ['1', '2', '3']) alice.send(`<message to='${tea}' type='groupchat'><body>${body}</body></message>`);

    const copies = await take(pusher, 747);
    const { epoch = '' } = copies[0]?.marks ?? {};
    const leftOut = Number((await pusher.fill({ epoch, h: 0 }))['left-out']);
    copies.push(...(await take(pusher, 780 - leftOut - 747))); // alice is one of 261 members, and may be one of the 250
    expect([copies.length, leftOut, (await pusher.fill({ epoch, h: 0 }))['pending']]).toEqual(
      leftOut === 30 ? [750, 30, '750'] : [747, 33, '747'],
    );
    const heard = groupedByReceiver(copies);
    expect(heard.size).toBe(copies.length / 3);
    for (const [to, each] of heard) expect(each.map(({ stanza }) => stanza?.text('body')).join(), to).toBe('1,2,3');
    expect(await prosody.shell('event_pusher_tap:info("localhost")')).toContain(`members_left_out ${leftOut}`);
  });
});

/** Gives the users an affiliation with the room, as a command of the operator does. */
async function makeMembers(prosody: Prosody, users: readonly string[]): Promise<void> {
  const room = `prosody.hosts["rooms.localhost"].modules.muc.get_room_from_jid("${tea}")`;
  const names = users.map((user) => JSON.stringify(user)).join(', ');
  await prosody.shell(
    `> (function () for _, user in ipairs { ${names} } do ${room}:set_affiliation(true, user .. "@localhost", "member") end end)()`,
  );
}

async function take(pusher: TapPusher, count: number): Promise<TappedItem[]> {
  const items: TappedItem[] = [];
  while (items.length < count) items.push(await pusher.item());
  return items;
}

function groupedByReceiver(copies: readonly TappedItem[]): ReadonlyMap<string, readonly TappedItem[]> {
  const groups = new Map<string, TappedItem[]>();
  for (const copy of copies) {
    const to = copy.stanza?.attrs['to'] ?? '';
    groups.set(to, [...(groups.get(to) ?? []), copy]);
  }
  return groups;
}
