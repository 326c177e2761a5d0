/**
 * One room that the account is in (XEP-0045), for as long as a session lasts:
 *
 *   out → joining → in → out (thrown out, the room's server restarted) → joining, later
 *            ↓ refused (nick taken, members only): again later
 */

import type { Timers } from '../../kit/clock.ts';
import { type Backoff, backoffMs, type Random } from '../../kit/pacing.ts';
import type { Stanza } from '../../model/packet.ts';
import { element, findChild, findChildren } from '../../packet/xml/element.ts';
import type { Archive } from './archive.ts';
import { conditionOf } from './questions.ts';

export interface RoomOptions {
  readonly room: { readonly jid: string; readonly nick: string };
  readonly archive: Archive;
  readonly send: (presence: Stanza) => void;
  readonly ask: (type: 'get' | 'set', child: Stanza, to: string) => Promise<Stanza>;
  readonly onChange: () => void;
  readonly reconnectCapMs: number;
  readonly timers: Timers;
  readonly random: Random;
}

export interface Room {
  readonly jid: string;
  readonly archive: Archive;
  /** Why it is not joined and caught up; empty while it is. */
  readonly trouble: string;
  readonly ready: boolean;
  /** A new session is up. */
  join(): void;
  /** The session is over. */
  leave(): void;
  presence(presence: Stanza): void;
  /**
   * Bare JID of who says it live, or said it when it was `archived`; undefined where the room does not tell. An archived
   * message names its sender itself (XEP-0313 §6.1.1); elsewhere, and in anonymous rooms, that is whatever somebody wrote.
   */
  senderOf(message: Stanza, how: { readonly archived: boolean }): string | undefined;
  /** Whether a message is the subject that a room tells who enters. */
  isWelcome(message: Stanza): boolean;
}

const mucNs = 'http://jabber.org/protocol/muc';
const mucUserNs = `${mucNs}#user`;
/** How often it is looked whether the room still has us: one that restarts tells nobody (XEP-0410). */
const lookEveryMs = 60_000;
/** Errors to a ping of ourselves by which we are in the room all the same (XEP-0410 §3.2). */
const stillIn = new Set(['feature-not-implemented', 'item-not-found', 'service-unavailable']);

export function createRoom(options: RoomOptions): Room {
  const { room, archive, timers } = options;
  const ourAddress = `${room.jid}/${room.nick}`;
  const backoff: Backoff = { firstMs: 1000, capMs: Math.max(30_000, options.reconnectCapMs), jitter: 0.2 };
  let state: 'in' | 'joining' | 'out' = 'out';
  let trouble = '';
  /** Who is behind a nick, in rooms that are not anonymous. */
  const occupants = new Map<string, string>();
  /** Everybody may know who is who. */
  let open = false;
  let failures = 0;
  let welcomed = false;
  let callOff: () => void = () => undefined;

  function join(): void {
    state = 'joining';
    welcomed = false;
    callOff();
    callOff = timers.after(30_000, () => out('the room does not answer'));
    const history = element('history', { maxstanzas: '0' });
    options.send(element('presence', { xmlns: 'jabber:client', to: ourAddress }, [element('x', { xmlns: mucNs }, [history])]));
  }

  function inside(): void {
    state = 'in';
    failures = 0;
    trouble = '';
    callOff();
    lookLater();
    archive.open();
    options.onChange();
  }

  function out(reason: string): void {
    if (state === 'in') archive.close();
    state = 'out';
    failures += 1;
    trouble = `room ${room.jid}: ${reason}`;
    callOff();
    callOff = timers.after(backoffMs(backoff, failures, options.random), join);
    options.onChange();
  }

  function lookLater(): void {
    callOff = timers.after(lookEveryMs, () => {
      lookLater();
      options.ask('get', element('ping', { xmlns: 'urn:xmpp:ping' }), ourAddress).then(
        (answer) => {
          if (state === 'in' && answer.attrs['type'] === 'error' && !stillIn.has(conditionOf(answer))) out(`left: ${conditionOf(answer)}`);
        },
        () => undefined, // the session is over
      );
    });
  }

  function presence(stanza: Stanza): void {
    const { type, from = '' } = stanza.attrs;
    const jid = realJid(stanza);
    if (type === undefined && jid !== undefined) occupants.set(from, jid);
    else occupants.delete(from);
    if (type === 'error') {
      if (state === 'joining') out(`refused: ${conditionOf(stanza)}`);
    } else if (isOurs(stanza)) {
      if (type === undefined) open = codesOf(stanza).includes('100');
      if (type === 'unavailable' && state === 'in') out('we were put out of it');
      else if (type === undefined && state === 'joining') inside();
    }
  }

  function isOurs(stanza: Stanza): boolean {
    return codesOf(stanza).includes('110') || (state === 'in' && stanza.attrs['from'] === ourAddress);
  }

  return {
    jid: room.jid,
    archive,
    get trouble() {
      return trouble === '' ? archive.trouble : trouble;
    },
    get ready() {
      return state === 'in' && archive.caughtUp;
    },
    join,
    leave: () => {
      callOff();
      occupants.clear();
      if (state === 'in') archive.close();
      state = 'out';
    },
    presence,
    senderOf: (message, { archived }) => {
      if (archived) return open ? realJid(message) : undefined;
      return occupants.get(message.attrs['from'] ?? '');
    },
    isWelcome: (message) => {
      const first = !welcomed && findChild(message, 'subject') !== undefined && findChild(message, 'body') === undefined;
      if (first) welcomed = true;
      return first;
    },
  };
}

/** Status codes of XEP-0045 §15.6. */
function codesOf(presence: Stanza): readonly (string | undefined)[] {
  const user = findChild(presence, 'x', mucUserNs);
  return user === undefined ? [] : findChildren(user, 'status', mucUserNs).map(({ attrs }) => attrs['code']);
}

function realJid(stanza: Stanza): string | undefined {
  const user = findChild(stanza, 'x', mucUserNs);
  const item = user && findChild(user, 'item', mucUserNs);
  return item?.attrs['jid']?.split('/', 1)[0];
}
