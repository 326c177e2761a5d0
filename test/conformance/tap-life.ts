import { describe, expect, test } from 'vitest';
import type { LifeEvent } from '../../src/model/packet.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { attachTap, type TappedItem } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TappedServer, TapServer } from './tap.ts';
import { enter } from './tap-rooms.ts';

/** The life events that the tap of each server reports, as the page of rules has them. */
export const reportedLifeEvents: Readonly<Record<string, readonly LifeEvent[]>> = {
  Prosody: ['room-created', 'room-joined', 'room-left', 'room-affiliation', 'room-destroyed', 'account-registered', 'account-deleted'],
  ejabberd: ['room-created', 'room-joined', 'room-left', 'room-affiliation', 'room-destroyed', 'account-registered', 'account-deleted'],
  MongooseIM: [],
};

const tea = 'tea@rooms.localhost';

/** Items for the life of rooms and accounts. */
export function reportsLifeEvents(server: TapServer): void {
  const reported = reportedLifeEvents[server.name] ?? [];
  describe.skipIf(!server.isHere)(`life events of the tap of ${server.name}`, () => {
    test('rooms are created, joined, left and destroyed, affiliations change, and accounts are registered and deleted, as requested', async () => {
      await using chat = await server.start({ rooms: 'rooms.localhost', accounts: true });
      await using pusher = await attachTap(chat, 'message rooms accounts');
      await live(chat);

      const seen = await lifeUntilTheEnd(chat, pusher);
      const created = ['room-joined alice@localhost/phone > tea/Alice, owner', 'room-affiliation alice@localhost > tea, owner'];
      expect(seen.filter((line) => !created.some((first) => line.startsWith(first)))).toEqual(
        [
          'account-registered dinah@localhost',
          'room-created tea > tea, by alice@localhost',
          'room-joined bob@localhost/desk > tea/Bob, none',
          'room-affiliation carol@localhost > tea, member, by alice@localhost',
          'room-left bob@localhost/desk > tea/Bobby unavailable, none', // another nickname is not reported
          'room-destroyed tea > tea unavailable',
          'account-deleted dinah@localhost unavailable',
        ].filter((line) => reported.some((event) => line.startsWith(event))),
      );
      expect(seen.filter((line) => created.some((first) => line.startsWith(first))).length).toBe(2);
      expect(namesOf(seen)).toEqual(new Set(reported));

      await pusher.request({ epoch: '', h: 0, want: 'message rooms', dir: 'in' });
      await pusher.itemsUntil('the end'); // all are sent again
      await live(chat);
      expect(namesOf(await lifeUntilTheEnd(chat, pusher))).toEqual(new Set(reported.filter((event) => event.startsWith('room-'))));
    });
  });
}

function namesOf(lines: readonly string[]): ReadonlySet<string | undefined> {
  return new Set(lines.map((line) => line.split(' ')[0]));
}

/** One of each event. */
async function live(chat: TappedServer): Promise<void> {
  await chat.register('dinah');
  await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
  await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
  await using dinah = await chat.connect({ user: 'dinah', resource: 'basket' });
  await enter(alice, tea, 'Alice');
  await enter(bob, tea, 'Bob');
  await alice.ask(adminQuery("<item affiliation='member' jid='carol@localhost'/>"), tea);
  await rename(bob, { from: `${tea}/Bob`, to: `${tea}/Bobby` });
  await leave(bob, `${tea}/Bobby`);
  await alice.ask("<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>", tea);
  dinah.send("<iq type='set' id='remove'><query xmlns='jabber:iq:register'><remove/></query></iq>");
  await dinah.next(({ name, attrs }) => attrs['id'] === 'remove' || name.endsWith('error'));
}

export function adminQuery(items: string): string {
  return `<query xmlns='http://jabber.org/protocol/muc#admin'>${items}</query>`;
}

async function rename(user: XmppUser, { from, to }: Readonly<Record<'from' | 'to', string>>): Promise<void> {
  user.send(`<presence to='${to}'/>`);
  for (const nickname of [from, to]) await user.next(({ name, attrs }) => name === 'presence' && attrs['from'] === nickname);
}

export async function leave(user: XmppUser, occupant: string): Promise<void> {
  user.send(`<presence to='${occupant}' type='unavailable'/>`);
  await user.next(({ attrs }) => attrs['type'] === 'unavailable' && attrs['from'] === occupant);
}

async function lifeUntilTheEnd(chat: TappedServer, pusher: Awaited<ReturnType<typeof attachTap>>): Promise<string[]> {
  await using carol = await chat.connect({ user: 'carol' });
  carol.sendChat('nobody@localhost', 'the end');
  const items = await pusher.itemsUntil('the end');
  return items.filter(({ marks }) => marks['dir'] === 'event').map(inShort);
}

function inShort({ stanza, marks }: TappedItem): string {
  const { from = '', to, type } = stanza?.attrs ?? {};
  const x = stanza && findChild(stanza, 'x', 'http://jabber.org/protocol/muc#user');
  const affiliation = (x && findChild(x, 'item', x.ns))?.attrs['affiliation'];
  const place = to === undefined ? '' : ` > ${to}`;
  const words = [`${marks['event']} ${from}${place}${type === undefined ? '' : ` ${type}`}`, affiliation];
  const line = [...words, marks['sender'] && `by ${marks['sender']}`].filter((word) => word !== undefined && word !== '').join(', ');
  return line.replaceAll('@rooms.localhost', '');
}
