/**
 * A component's connection to one node of a chat server (XEP-0114), attached for as long as it lives:
 *
 *   offline → connecting → attached → offline (waiting) → connecting → …
 *
 * The wait doubles with each failure, capped and jittered; after a refusal (wrong secret, unknown component) it starts
 * at half a minute. Where another pusher holds the component, this one stands by and asks at least every half a minute.
 */

import type { ComponentAttachment, ComponentNode } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { type Backoff, backoffMs, type Random } from '../../kit/pacing.ts';
import type { Mark, Packet, PacketId, Stanza } from '../../model/packet.ts';
import { packetFrom, type SeenStanza } from '../../packet/from-xml.ts';
import type { JidReader } from '../../packet/jid.ts';
import { Stays } from '../../packet/room.ts';
import type { AttachmentState, EventSink } from '../../telemetry/events.ts';
import type { Flow } from '../flow.ts';
import type { IsOwn } from '../own-traffic.ts';
import { answerStranger } from './answer-stranger.ts';
import { createDirectFeed } from './direct-feed.ts';
import type { Feed, Outlet } from './feed.ts';
import type { FeedOptions } from './feed-options.ts';
import type { NodeNames } from './node-names.ts';
import type { ComponentOutbox } from './outbox.ts';
import { createServiceLogFeed } from './service-log-feed.ts';
import { type ComponentStream, openStream, type StreamEnd } from './stream.ts';
import { createTapFeed } from './tap-feed.ts';

export interface ConnectionOptions {
  readonly attachment: ComponentAttachment;
  /** One of the attachment's. */
  readonly node: ComponentNode;
  readonly names: NodeNames;
  readonly flow: Flow;
  /** Goes over the connection while it stands. */
  readonly outbox: ComponentOutbox;
  /** A host of the server, which answers pings. */
  readonly pingTo: string;
  /** Where each of its hosts had got to. */
  readonly marks: readonly Mark[];
  /** The stanza kinds that the handlers can want, as the tap's `want` says them, until {@link Connection.resubscribe}. */
  readonly want: string;
  /** Names this process to the taps: its own feed it takes back at once, another's it waits for. */
  readonly instance: string;
  readonly isOwn: IsOwn;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly events: EventSink;
}

export interface Connection {
  open(): void;
  /** Ends it for good. */
  close(): void;
  /** Stops and restarts the reading. */
  pause(): void;
  resume(): void;
  /** From now on the handlers can want these stanzas. */
  resubscribe(want: string): void;
}

/** An attachment that has lasted this long was a success: the next wait starts small again. */
const provenAfterMs = 30_000;
const standbyMs = 30_000;
const refusedBackoff: Backoff = { firstMs: 30_000, capMs: 300_000, jitter: 0.2 };

const stateAfter = { closed: 'offline', failed: 'offline', occupied: 'standby', refused: 'refused' } as const;

export function createConnection(options: ConnectionOptions): Connection {
  const { attachment, node, names, flow, outbox, pingTo, clock, timers, random, events } = options;
  const { name } = attachment;
  const failed: Backoff = { firstMs: 1000, capMs: attachment.reconnectCapMs, jitter: 0.2 };
  const occupied: Backoff = { ...failed, capMs: Math.min(failed.capMs, standbyMs) };
  const backoffs = { closed: failed, failed, occupied, refused: refusedBackoff };
  const named = attachment.nodes.length > 1 ? { node: node.name } : {};
  const feed = createFeed(options, {
    shared: { attachment, flow, isOwn: options.isOwn, events, timers, tell, toPacket, skip, strange },
    refuse: (reason) => stream?.close({ kind: 'refused', reason }),
  });
  const outlet: Outlet = { send: (xml) => stream?.send(xml) };
  const stays = new Stays();
  let stream: ComponentStream | undefined;
  let stopping = false;
  let failures = 0;
  let attachedAt: number | undefined;
  let callOffWait: () => void = () => undefined;

  function connect(): void {
    tell('', 'connecting');
    stream = openStream(
      { ...attachment, service: node, pingTo, clock, timers },
      {
        onUp: up,
        onStanza: (stanza, bytes) => outbox.takes(stanza) || feed.received(stanza, bytes),
        onUnreadable: (stanza) => feed.unreadable(stanza),
        onRead: (bytes) => events.emit('stream.read', { attachment: name, bytes }),
        onEnd: ended,
      },
    );
  }

  function up(): void {
    attachedAt = clock.monotonic();
    tell('', 'attached');
    feed.attached(outlet);
    outbox.attached(outlet);
    if (flow.stopped) stream?.pause(); // what stopped the last stream is not over
  }

  function ended(end: StreamEnd): void {
    stream = undefined;
    outbox.detached(outlet);
    if (attachedAt !== undefined) feed.detached();
    const lasted = attachedAt === undefined ? 0 : clock.monotonic() - attachedAt;
    attachedAt = undefined;
    failures = lasted >= provenAfterMs ? 1 : failures + 1;
    names.release(node.name);
    tell('', stateAfter[end.kind], end.reason);
    if (stopping) return;
    const wait = backoffMs(backoffs[end.kind], failures, random);
    callOffWait = timers.after(wait, connect);
  }

  function tell(host: string, state: AttachmentState, reason = ''): void {
    events.emit('attachment.state', { attachment: name, host, ...named, state, reason });
  }

  function toPacket(seen: SeenStanza): Packet {
    const endsStay = stays.endsWith(seen.stanza, seen.direction);
    const reception = { id: options.newPacketId(), origin: name, receivedAt: clock.now(), endsStay };
    const { packet, prepared } = packetFrom(seen, reception, options.readJid);
    if (!prepared) events.emit('jid.unprepared', { attachment: name });
    return packet;
  }

  function skip(reason: string, host?: string): void {
    events.emit('packet.skipped', { attachment: name, reason, ...(host === undefined ? {} : { host }) });
  }

  function strange(stanza: Stanza): void {
    const answer = answerStranger(stanza, attachment.domain);
    if (answer !== undefined) stream?.send(answer);
  }

  return {
    open: connect,
    close: () => {
      stopping = true;
      callOffWait();
      stream?.close();
    },
    pause: () => stream?.pause(),
    resume: () => stream?.resume(),
    resubscribe: (want) => feed.resubscribe(want),
  };
}

interface FeedSurroundings {
  readonly shared: FeedOptions;
  readonly refuse: (reason: string) => void;
}

function createFeed({ attachment, node, names, marks, want, instance }: ConnectionOptions, { shared, refuse }: FeedSurroundings): Feed {
  const claimNode = (host: string, itsName: string) => names.claim({ host, node: itsName }, node.name);
  switch (attachment.feed) {
    case 'direct':
      return createDirectFeed(shared);
    case 'service_log':
      return createServiceLogFeed(shared);
    case 'tap':
      return createTapFeed({ ...shared, marks, want, instance, claimNode, refuse });
    default:
      return attachment.feed satisfies never;
  }
}
