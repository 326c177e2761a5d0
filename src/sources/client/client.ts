/**
 * An ordinary account as a source: its messages, those of its other clients, and the rooms it is in.
 *
 *   offline → connecting → attached → offline (waiting) → connecting → …
 *
 * As with a component the wait doubles with each failure, capped and jittered, and after a refusal (wrong password, a
 * certificate that is not accepted) it starts at half a minute.
 */
import type { Element } from '@xmpp/client';
import { createLifecycle } from '../../kit/lifecycle.ts';
import { type Backoff, backoffMs } from '../../kit/pacing.ts';
import type { Mark, Packet } from '../../model/packet.ts';
import { packetFrom } from '../../packet/from-xml.ts';
import type { AttachmentState } from '../../telemetry/events.ts';
import type { MessageOutlet } from '../outlet.ts';
import type { Outbox, Source } from '../source.ts';
import { Flow } from '../source.ts';
import type { StreamEnd } from '../xmpp-stream.ts';
import { createAccount } from './account.ts';
import { createAccountOutbox } from './account-outbox.ts';
import type { ClientOptions } from './client-options.ts';
import { type Connection, openConnection, type Resumption } from './connection.ts';
import { createOutbox } from './outbox.ts';
import type { Sighting } from './sighting.ts';

export interface ClientSource extends Source, MessageOutlet {
  readonly outbox: Outbox;
}

/** An attachment that has lasted this long was a success: the next wait starts small again. */
const provenAfterMs = 30_000;
const refusedBackoff: Backoff = { firstMs: 30_000, capMs: 300_000, jitter: 0.2 };
/** Messages that wait to be sent, bytes. */
const maxOutboxBytes = 16 * 1024 * 1024;

export function createClientSource(options: ClientOptions): ClientSource {
  const { attachment, clock, timers, random, events } = options;
  const { name, jid } = attachment;
  const failedBackoff: Backoff = { firstMs: 1000, capMs: attachment.reconnectCapMs, jitter: 0.2 };
  const flow = new Flow(options.accept, {
    maxBytes: attachment.maxUncommittedBytes,
    onStop: () => connection?.pause(),
    onResume: () => connection?.resume(),
  });
  const outbox = createOutbox(maxOutboxBytes);
  const toUsers = createAccountOutbox({ ...options, jid: `${jid.user}@${jid.domain}`, outlet: outbox });
  const account = createAccount({ ...options, send, hand, skip });
  let connection: Connection | undefined;
  let resumption: Resumption | undefined;
  /** Said while there is no connection, by a session that may yet go on. */
  let unsaid: Element[] = [];
  /** The server has taken in what a session begins with: before that, none is worth resuming. */
  let begun = false;
  let { resource } = attachment;
  let serial = 0;
  let stopping = false;
  let failures = 0;
  let attachedAt: number | undefined;
  let callOffWait: () => void = () => undefined;

  function connect(): void {
    tell('connecting', '');
    connection = openConnection(
      { attachment: { ...attachment, resource }, resumption, clock, timers },
      {
        onUp: up,
        onStanza: account.received,
        onUnreadable: account.unreadable,
        onRead: (bytes) => events.emit('stream.read', { attachment: name, bytes }),
        onSilence: () => void account.ping().catch(() => undefined), // the connection's end says why
        onOutcome: outbox.settled,
        onEnd: ended,
      },
    );
  }

  function up(resumed: boolean): void {
    attachedAt = clock.monotonic();
    tell('attached', '');
    if (resumed) goOn();
    else begin();
    outbox.open({
      acknowledges: () => connection?.acknowledges === true,
      send: (sent) => connection?.send(sent),
      ping: account.ping,
    });
    if (flow.stopped) connection?.pause(); // what stopped the last stream is not over
  }

  function begin(): void {
    account.closed(); // the one before, which could not be resumed
    begun = false;
    unsaid = [];
    account.opened();
    account.ping().then(
      () => {
        begun = true;
      },
      () => undefined, // it ended before
    );
  }

  function goOn(): void {
    const late = unsaid;
    unsaid = [];
    for (const sent of late) send(sent);
    account.resumed();
  }

  function send(sent: Element): void {
    if (attachedAt === undefined) unsaid.push(sent);
    else connection?.send(sent);
  }

  function ended(end: StreamEnd, kept: Resumption | undefined): void {
    const wasAttached = attachedAt !== undefined;
    connection = undefined;
    resumption = begun ? kept : undefined;
    if (wasAttached) outbox.close({ resumable: resumption !== undefined });
    if (resumption === undefined) account.closed();
    const lasted = attachedAt === undefined ? 0 : clock.monotonic() - attachedAt;
    attachedAt = undefined;
    failures = lasted >= provenAfterMs ? 1 : failures + 1;
    tell(end.kind === 'refused' ? 'refused' : 'offline', end.reason);
    if (stopping) return;
    if (end.kind === 'occupied') giveWay();
    const wait = backoffMs(end.kind === 'refused' ? refusedBackoff : failedBackoff, failures, random);
    callOffWait = timers.after(wait, connect);
  }

  /** Another pusher or client took the resource. Taking it back would make both alternate without end. */
  function giveWay(): void {
    const taken = resource;
    const own = Math.floor(random() * 0x1_0000).toString(16);
    resource = `${attachment.resource}-${own.padStart(4, '0')}`;
    const account = `${jid.user}@${jid.domain}`;
    events.emit('notice', {
      text: `another client of ${account} has taken the resource "${taken}"; attachment ${name} continues as "${resource}"`,
    });
  }

  function hand(archive: string, sighting: Sighting | undefined, mark: Mark | undefined): void {
    const bytes = sighting?.bytes ?? 0;
    const packet = sighting === undefined ? undefined : toPacket(archive, sighting);
    flow.hand(packet, { stream: `${name}/${archive}`, mark, committed: () => flow.committed(bytes) }, bytes);
  }

  function toPacket(archive: string, sighting: Sighting): Packet {
    serial += 1;
    const key = `${name}/${archive}/${sighting.archiveId ?? `live-${serial}`}`;
    const host = attachment.hosts.includes(jid.domain) ? jid.domain : (attachment.hosts[0] ?? jid.domain);
    const reception = { id: options.newPacketId(), origin: name, receivedAt: clock.now() };
    const { packet, prepared } = packetFrom({ ...sighting, host, key }, reception, options.readJid);
    if (!prepared) events.emit('jid.unprepared', { attachment: name });
    return packet;
  }

  function tell(state: AttachmentState, reason: string): void {
    events.emit('attachment.state', { attachment: name, host: '', state, reason });
  }

  function skip(reason: string): void {
    events.emit('packet.skipped', { attachment: name, reason });
  }

  const lifecycle = createLifecycle({
    start: async () => connect(),
    stop: async () => {
      stopping = true;
      callOffWait();
      connection?.close();
      account.closed();
      outbox.end();
    },
  });

  return {
    name,
    get uncommittedBytes() {
      return flow.uncommittedBytes;
    },
    resubscribe: () => undefined, // an account sees messages, whatever the handlers can want
    send: outbox.send,
    outbox: toUsers,
    ...lifecycle,
  };
}
