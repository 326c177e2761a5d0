/**
 * One room that the account is in (XEP-0045), for the length of a session:
 *
 *   out → joining → in → out (removed, or the room's server has restarted) → joining, later
 *            ↓ refused (nick taken, members only): retried later
 */
import type { Timers } from '../../kit/clock.ts';
import { type Backoff, backoffMs, type Random } from '../../kit/pacing.ts';
import type { Stanza } from '../../model/packet.ts';
import { element, findChild, findChildren } from '../../packet/xml/element.ts';
import { errorCondition, pingElement } from '../xmpp-stream.ts';
import type { Archive } from './archive.ts';

export interface RoomOptions {
  readonly jid: string;
  readonly nick: string;
  readonly archive: Pick<Archive, 'caughtUp' | 'close' | 'open' | 'trouble'>;
  readonly send: (presence: Stanza) => void;
  readonly request: (type: 'get' | 'set', child: Stanza, to: string) => Promise<Stanza>;
  readonly onChange: () => void;
  readonly reconnectCapMs: number;
  readonly timers: Timers;
  readonly random: Random;
}

const mucNs = 'http://jabber.org/protocol/muc';
const mucUserNs = `${mucNs}#user`;
const joinTimeoutMs = 30_000;
/** Interval of the self-ping: a room that restarts does not notify its occupants (XEP-0410). */
const selfPingEveryMs = 60_000;
/** Errors to a self-ping that mean that we are still in the room (XEP-0410 §3.2). */
const joinedConditions: ReadonlySet<string> = new Set(['feature-not-implemented', 'item-not-found', 'service-unavailable']);

export class Room {
  readonly #options: RoomOptions;
  readonly #ownAddress: string;
  readonly #backoff: Backoff;
  /** Bare JIDs by occupant address, in rooms that are not anonymous. */
  readonly #occupants = new Map<string, string>();
  #state: 'in' | 'joining' | 'out' = 'out';
  #trouble = '';
  /** Whether all occupants may see the JIDs of all. */
  #isPublic = false;
  #failures = 0;
  #welcomed = false;
  #cancelTimer: () => void = () => undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
    this.#ownAddress = `${options.jid}/${options.nick}`;
    this.#backoff = { firstMs: 1000, capMs: Math.max(30_000, options.reconnectCapMs), jitter: 0.2 };
  }

  get jid(): string {
    return this.#options.jid;
  }

  /** Why the room is not joined or not caught up; empty while it is. */
  get trouble(): string {
    return this.#trouble === '' ? this.#options.archive.trouble : this.#trouble;
  }

  get ready(): boolean {
    return this.#state === 'in' && this.#options.archive.caughtUp;
  }

  /** A new session is up. */
  join(): void {
    const { send, timers } = this.#options;
    this.#state = 'joining';
    this.#welcomed = false;
    this.#cancelTimer();
    this.#cancelTimer = timers.after(joinTimeoutMs, () => this.#out('the room does not answer'));
    const history = element('history', { maxstanzas: '0' });
    send(element('presence', { xmlns: 'jabber:client', to: this.#ownAddress }, [element('x', { xmlns: mucNs }, [history])]));
  }

  /** The session is over. */
  leave(): void {
    this.#cancelTimer();
    this.#occupants.clear();
    if (this.#state === 'in') this.#options.archive.close();
    this.#state = 'out';
  }

  presence(presence: Stanza): void {
    const { type, from = '' } = presence.attrs;
    const jid = realJid(presence);
    if (type === undefined && jid !== undefined) this.#occupants.set(from, jid);
    else this.#occupants.delete(from);
    if (type === 'error') {
      if (this.#state === 'joining') this.#out(`refused: ${conditionOf(presence)}`);
    } else if (this.#isOurs(presence)) {
      if (type === undefined) this.#isPublic = codesOf(presence).includes('100');
      if (type === 'unavailable' && this.#state === 'in') this.#out('we were removed from it');
      else if (type === undefined && this.#state === 'joining') this.#joined();
    }
  }

  /**
   * Bare JID of the sender of a live or `archived` message; undefined if the room does not reveal it. An archived message
   * contains the JID of its sender (XEP-0313 §6.1.1); in live messages and in anonymous rooms any sender may forge that.
   */
  senderOf(message: Stanza, { archived }: { readonly archived: boolean }): string | undefined {
    if (archived) return this.#isPublic ? realJid(message) : undefined;
    return this.#occupants.get(message.attrs['from'] ?? '');
  }

  /** Whether a message is the subject that the room sends to a new occupant. */
  isWelcome(message: Stanza): boolean {
    const isFirst = !this.#welcomed && findChild(message, 'subject') !== undefined && findChild(message, 'body') === undefined;
    if (isFirst) this.#welcomed = true;
    return isFirst;
  }

  #joined(): void {
    this.#state = 'in';
    this.#failures = 0;
    this.#trouble = '';
    this.#cancelTimer();
    this.#pingLater();
    this.#options.archive.open();
    this.#options.onChange();
  }

  #out(reason: string): void {
    const { jid, archive, timers, random, onChange } = this.#options;
    if (this.#state === 'in') archive.close();
    this.#state = 'out';
    this.#failures += 1;
    this.#trouble = `room ${jid}: ${reason}`;
    this.#cancelTimer();
    this.#cancelTimer = timers.after(backoffMs(this.#backoff, this.#failures, random), () => this.join());
    onChange();
  }

  #pingLater(): void {
    this.#cancelTimer = this.#options.timers.after(selfPingEveryMs, () => {
      this.#pingLater();
      this.#options.request('get', pingElement(), this.#ownAddress).then(
        (answer) => this.#pingAnswered(answer),
        () => undefined, // the session is over
      );
    });
  }

  #pingAnswered(answer: Stanza): void {
    if (this.#state !== 'in' || answer.attrs['type'] !== 'error') return;
    const condition = conditionOf(answer);
    if (!joinedConditions.has(condition)) this.#out(`left: ${condition}`);
  }

  #isOurs(presence: Stanza): boolean {
    return codesOf(presence).includes('110') || (this.#state === 'in' && presence.attrs['from'] === this.#ownAddress);
  }
}

function conditionOf(stanza: Stanza): string {
  return errorCondition(stanza) ?? 'undefined-condition';
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
