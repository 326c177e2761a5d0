import type { Direction, Stanza } from '../model/packet.ts';
import { mucUserNs, roomNews } from './room-change.ts';
import { findChildren } from './xml/element.ts';

/** Maximum number of nicknames; each takes some hundred bytes. */
const maxStays = 20_000;

/**
 * The nicknames of users in rooms, as learned from presences since the start. They identify whose stay ends if the room does not:
 * MongooseIM omits status 110 for a removed occupant and hides addresses in most rooms.
 */
export class Stays {
  readonly #nicks = new Map<string, string>();

  /** Records a presence. Returns whether it is known to end the receiver's own stay. */
  endsWith(stanza: Stanza, direction: Direction): boolean {
    if (direction !== 'out' || stanza.name !== 'presence') return false;
    const news = roomNews(stanza);
    if (news === undefined) return false;
    const { from = '', to = '', type } = stanza.attrs;
    const slash = from.indexOf('/');
    const stay = `${to} ${from.slice(0, slash)}`;
    const nick = from.slice(slash + 1);
    if (type === undefined) {
      if (findChildren(news, 'status', mucUserNs).some(({ attrs }) => attrs['code'] === '110')) this.#begin(stay, nick);
      return false;
    }
    return type === 'unavailable' && this.#nicks.get(stay) === nick && this.#nicks.delete(stay);
  }

  #begin(stay: string, nick: string): void {
    this.#nicks.delete(stay);
    this.#nicks.set(stay, nick);
    const [oldest = ''] = this.#nicks.keys();
    if (this.#nicks.size > maxStays) this.#nicks.delete(oldest);
  }
}
