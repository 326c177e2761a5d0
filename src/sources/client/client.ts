/**
 * An ordinary account as a source: its messages, those of its other clients, and those of its rooms.
 *
 *   offline → connecting → attached → offline (waiting) → connecting → …
 *
 * As with a component the wait doubles with each failure, capped and jittered; after a refusal (wrong password, rejected
 * certificate) it starts at 30 s.
 */
import { createLifecycle } from '../../kit/lifecycle.ts';
import { Restarter } from '../../kit/pacing.ts';
import type { Accept, Mark, Packet, PacketId, Stanza } from '../../model/packet.ts';
import { packetFrom } from '../../packet/from-xml.ts';
import type { AttachmentState } from '../../telemetry/events.ts';
import { Flow, type Outbox, type Source } from '../source.ts';
import { provenAfterMs, reconnectBackoffs, type StreamEnd } from '../xmpp-stream.ts';
import { Account, type AccountOptions } from './account.ts';
import { ClientConnection, type Resumption } from './connection.ts';
import { AccountOutbox, SendQueue } from './outbox.ts';
import { toLibrary } from './parser.ts';
import type { Sighting } from './sighting.ts';

interface ClientOptions extends Omit<AccountOptions, 'hand' | 'send' | 'skip'> {
  readonly accept: Accept;
  readonly newPacketId: () => PacketId;
}

/** Limit of the messages that wait or are unconfirmed. */
const maxQueueBytes = 16 * 1024 * 1024;

export class ClientSource implements Source {
  readonly name: string;
  readonly outbox: Outbox;
  readonly #options: ClientOptions;
  readonly #flow: Flow;
  readonly #queue = new SendQueue(maxQueueBytes);
  readonly #account: Account;
  readonly #restarter: Restarter;
  readonly #lifecycle = createLifecycle({ start: async () => this.#connect(), stop: async () => this.#close() });
  #connection: ClientConnection | undefined;
  #resumption: Resumption | undefined;
  #attached = false;
  /** Stanzas of a session that may be resumed, from the time without a connection. */
  #unsent: Stanza[] = [];
  /** Whether the server has received the first stanzas of the session: before that it is not worth resuming. */
  #begun = false;
  #resource: string;
  #serial = 0;
  #stopping = false;

  constructor(options: ClientOptions) {
    const { attachment, accept } = options;
    const { user, domain } = attachment.jid;
    this.#options = options;
    this.name = attachment.name;
    this.#resource = attachment.resource;
    this.#flow = new Flow(accept, {
      maxBytes: attachment.maxUncommittedBytes,
      onStop: () => this.#connection?.pause(),
      onResume: () => this.#connection?.resume(),
    });
    this.outbox = new AccountOutbox({ ...options, jid: `${user}@${domain}`, queue: this.#queue });
    this.#restarter = new Restarter({ ...options, provenAfterMs, restart: () => this.#connect() });
    this.#account = new Account({
      ...options,
      send: (stanza) => this.#sendStanza(stanza),
      hand: (archive, sighting, mark) => this.#hand(archive, sighting, mark),
      skip: (reason) => options.events.emit('packet.skipped', { attachment: attachment.name, reason }),
    });
  }

  get uncommittedBytes(): number {
    return this.#flow.uncommittedBytes;
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** An account receives messages, independent of the subscription. */
  resubscribe(): void {
    // nothing to request
  }

  /** See {@link SendQueue.send}. */
  send(message: Stanza): Promise<void> {
    return this.#queue.send(message);
  }

  #connect(): void {
    const { attachment, clock, timers, events } = this.#options;
    const account = this.#account;
    this.#reportState('connecting');
    this.#connection = new ClientConnection(
      { attachment: { ...attachment, resource: this.#resource }, resumption: this.#resumption, clock, timers },
      {
        onUp: (resumed) => this.#up(resumed),
        onStanza: (stanza, bytes) => account.received(stanza, bytes),
        onUnreadable: (unreadable) => account.unreadable(unreadable),
        onRead: (bytes) => events.emit('stream.read', { attachment: attachment.name, bytes }),
        onSilence: () => void account.ping().catch(() => undefined), // the connection's end gives the reason
        onOutcome: (sent, outcome) => this.#queue.settled(sent, outcome),
        onEnd: (end, resumption) => this.#ended(end, resumption),
      },
    );
  }

  #close(): void {
    this.#stopping = true;
    this.#restarter.cancel();
    this.#connection?.close();
    this.#account.closed();
    this.#queue.end();
  }

  #up(resumed: boolean): void {
    this.#attached = true;
    this.#restarter.running();
    this.#reportState('attached');
    if (resumed) this.#resumeSession();
    else this.#beginSession();
    this.#queue.open({
      acknowledges: () => this.#connection?.acknowledges === true,
      send: (sent) => this.#connection?.send(sent),
      ping: () => this.#account.ping(),
    });
    if (this.#flow.stopped) this.#connection?.pause(); // the limit that stopped the previous stream still holds
  }

  #beginSession(): void {
    this.#account.closed(); // the previous session, which could not be resumed
    this.#begun = false;
    this.#unsent = [];
    this.#account.opened();
    this.#account.ping().then(
      () => {
        this.#begun = true;
      },
      () => undefined, // the session has ended before
    );
  }

  #resumeSession(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    for (const stanza of unsent) this.#sendStanza(stanza);
    this.#account.resumed();
  }

  #sendStanza(stanza: Stanza): void {
    if (this.#attached) this.#connection?.send(toLibrary(stanza));
    else this.#unsent.push(stanza);
  }

  #ended({ kind, reason }: StreamEnd, resumption: Resumption | undefined): void {
    this.#connection = undefined;
    this.#resumption = this.#begun ? resumption : undefined;
    if (this.#attached) this.#queue.close({ resumable: this.#resumption !== undefined });
    if (this.#resumption === undefined) this.#account.closed();
    this.#attached = false;
    this.#reportState(kind === 'refused' ? 'refused' : 'offline', reason);
    if (this.#stopping) return;
    if (kind === 'occupied') this.#changeResource();
    this.#restarter.schedule(reconnectBackoffs(this.#options.attachment.reconnectCapMs)[kind]);
  }

  /** Another pusher or client took the resource. Taking it back would make both alternate without end. */
  #changeResource(): void {
    const { attachment, random, events } = this.#options;
    const { user, domain } = attachment.jid;
    const taken = this.#resource;
    const suffix = Math.floor(random() * 0x1_0000).toString(16);
    this.#resource = `${attachment.resource}-${suffix.padStart(4, '0')}`;
    events.emit('notice', {
      text: `another client of ${user}@${domain} has taken the resource "${taken}"; attachment ${this.name} continues as "${this.#resource}"`,
    });
  }

  #hand(archive: string, sighting: Sighting | undefined, mark: Mark | undefined): void {
    const bytes = sighting?.bytes ?? 0;
    const packet = sighting === undefined ? undefined : this.#toPacket(archive, sighting);
    this.#flow.hand(packet, { stream: `${this.name}/${archive}`, mark, committed: () => this.#flow.committed(bytes) }, bytes);
  }

  #toPacket(archive: string, sighting: Sighting): Packet {
    const { attachment, clock, newPacketId, readJid, events } = this.#options;
    const { hosts, jid } = attachment;
    this.#serial += 1;
    const key = `${this.name}/${archive}/${sighting.archiveId ?? `live-${this.#serial}`}`;
    const host = hosts.includes(jid.domain) ? jid.domain : (hosts[0] ?? jid.domain);
    const reception = { id: newPacketId(), origin: this.name, receivedAt: clock.now() };
    const { packet, prepared } = packetFrom({ ...sighting, host, key }, reception, readJid);
    if (!prepared) events.emit('jid.unprepared', { attachment: this.name });
    return packet;
  }

  #reportState(state: AttachmentState, reason = ''): void {
    this.#options.events.emit('attachment.state', { attachment: this.name, host: '', state, reason });
  }
}
