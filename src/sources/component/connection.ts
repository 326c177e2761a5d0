/**
 * A component's connection to one node of a chat server (XEP-0114), attached for as long as its source runs:
 *
 *   offline → connecting → attached → offline (waiting) → connecting → …
 *
 * The wait doubles with each failure, capped and jittered; after a refusal (wrong secret, unknown component) it starts
 * at 30 s. While another pusher holds the component, this one is on standby; it retries at least every 30 s, or waits if a tap keeps it.
 */
import type { ComponentAttachment, ComponentNode } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { type Backoff, type Random, Restarter } from '../../kit/pacing.ts';
import type { Mark, Packet, PacketId, Stanza, Subscription } from '../../model/packet.ts';
import { packetFrom, type SeenStanza } from '../../packet/from-xml.ts';
import type { JidReader } from '../../packet/jid.ts';
import { Stays } from '../../packet/room.ts';
import { childElements, element, toXml } from '../../packet/xml/element.ts';
import type { AttachmentState, EventSink } from '../../telemetry/events.ts';
import type { Flow, IsOwn, Outbox } from '../source.ts';
import { provenAfterMs, reconnectBackoffs, type StreamEnd, stanzaErrorsNs } from '../xmpp-stream.ts';
import type { Feed, FeedContext, Outlet, SkipReason } from './feed.ts';
import { ComponentStream } from './stream.ts';
import { TapFeed } from './tap-feed.ts';

export interface ConnectionOptions {
  readonly attachment: ComponentAttachment;
  /** One of the attachment's nodes. */
  readonly node: ComponentNode;
  readonly nodeNames: NodeNames;
  readonly flow: Flow;
  /** Makes the feed of each connection. Default: the tap. */
  readonly createFeed?: ((context: FeedContext) => Feed) | undefined;
  readonly outbox?: StreamOutbox | undefined;
  /** A host of the server, which answers pings. */
  readonly pingTo: string;
  /** The last committed position of each host. */
  readonly marks: readonly Mark[];
  /** The stanzas that the handlers use, until {@link NodeConnection.resubscribe}. */
  readonly subscription: Subscription;
  /** Identifies this process to the taps: it takes back its own feed at once, and waits for another's. */
  readonly instance: string;
  readonly isOwn: IsOwn;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly events: EventSink;
}

/** An outbox that sends over the component's streams. */
export interface StreamOutbox extends Outbox {
  /** A stream is up; others may be up too. */
  attached(outlet: Outlet): void;
  /** The stream is gone, if it ever was up. */
  detached(outlet: Outlet): void;
  /** No further stream will come: ends all pending messages. */
  close(): void;
  /** Consumes a stanza that is about a sent message; false: it is not, and belongs to the feed. */
  consumes(stanza: Stanza): boolean;
}

const standbyMs = 30_000;
const stateAfter = { closed: 'offline', failed: 'offline', occupied: 'standby', refused: 'refused' } as const;

export class NodeConnection {
  readonly #options: ConnectionOptions;
  readonly #feed: Feed;
  readonly #stays = new Stays();
  readonly #restarter: Restarter;
  readonly #backoffs: Readonly<Record<StreamEnd['kind'], Backoff>>;
  readonly #outlet: Outlet = { send: (xml) => this.#stream?.send(xml) };
  #stream: ComponentStream | undefined;
  #attached = false;
  #hasStoodBy = false;
  #stopping = false;

  constructor(options: ConnectionOptions) {
    const { reconnectCapMs } = options.attachment;
    this.#options = options;
    this.#restarter = new Restarter({ ...options, provenAfterMs, restart: () => this.open() });
    const backoffs = reconnectBackoffs(reconnectCapMs);
    this.#backoffs = { ...backoffs, occupied: { ...backoffs.occupied, capMs: Math.min(reconnectCapMs, standbyMs) } };
    this.#feed = this.#createFeed();
  }

  open(): void {
    const { attachment, node, pingTo, clock, timers, events, outbox } = this.#options;
    this.#reportState('', 'connecting');
    this.#stream = new ComponentStream(
      { ...attachment, service: node, pingTo, clock, timers },
      {
        ...(attachment.feed === 'tap' && {
          onStandby: () => this.#reportState('', 'standby', `another connection holds ${attachment.domain}`),
        }),
        onUp: () => this.#up(),
        onStanza: (stanza, bytes) => {
          if (outbox?.consumes(stanza) !== true) this.#feed.received(stanza, bytes);
        },
        onUnreadable: (unreadable) => this.#feed.unreadable(unreadable),
        onRead: (bytes) => events.emit('stream.read', { attachment: attachment.name, bytes }),
        onEnd: (end) => this.#ended(end),
      },
    );
  }

  /** Ends the connection for good. */
  close(): void {
    this.#stopping = true;
    this.#restarter.cancel();
    this.#stream?.close();
  }

  /** Stops reading. */
  pause(): void {
    this.#stream?.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#stream?.resume();
  }

  resubscribe(subscription: Subscription): void {
    this.#feed.resubscribe(subscription);
  }

  #createFeed(): Feed {
    const { attachment, flow, isOwn, events, timers, node, nodeNames, createFeed } = this.#options;
    const context: FeedContext = {
      attachment,
      flow,
      isOwn,
      events,
      timers,
      reportState: (host, state, reason) => this.#reportState(host, state, reason),
      toPacket: (seen) => this.#toPacket(seen),
      skip: (reason, host) => this.#skip(reason, host),
      onOther: (stanza) => this.#respond(stanza),
    };
    if (createFeed !== undefined) return createFeed(context);
    return new TapFeed({
      ...this.#options,
      ...context,
      claimNode: (host, name) => nodeNames.claim({ host, node: name }, node.name),
      hasStoodBy: () => this.#hasStoodBy,
      refuse: (reason) => this.#stream?.close({ kind: 'refused', reason }),
    });
  }

  #up(): void {
    const { outbox, flow } = this.#options;
    this.#attached = true;
    this.#restarter.running();
    this.#reportState('', 'attached');
    this.#feed.attached(this.#outlet);
    outbox?.attached(this.#outlet);
    if (flow.stopped) this.#stream?.pause(); // the limit that stopped the previous stream still holds
  }

  #ended({ kind, reason }: StreamEnd): void {
    const { outbox, node, nodeNames } = this.#options;
    this.#stream = undefined;
    outbox?.detached(this.#outlet);
    if (this.#attached) this.#feed.detached();
    this.#attached = false;
    nodeNames.release(node.name);
    this.#reportState('', stateAfter[kind], reason);
    if (!this.#stopping) this.#restarter.schedule(this.#backoffs[kind]);
  }

  #reportState(host: string, state: AttachmentState, reason = ''): void {
    const { attachment, node, events } = this.#options;
    const named = attachment.nodes.length > 1 ? { node: node.name } : {};
    this.#hasStoodBy ||= state === 'standby';
    events.emit('attachment.state', { attachment: attachment.name, host, ...named, state, reason });
  }

  #toPacket(seen: SeenStanza): Packet {
    const { attachment, newPacketId, readJid, clock, events } = this.#options;
    const endsStay = this.#stays.observe(seen.stanza, seen.direction);
    const reception = { id: newPacketId(), origin: attachment.name, receivedAt: clock.now(), endsStay };
    const { packet, prepared } = packetFrom(seen, reception, readJid);
    if (!prepared) events.emit('jid.unprepared', { attachment: attachment.name });
    return packet;
  }

  #skip(reason: SkipReason, host?: string): void {
    const { attachment, events } = this.#options;
    events.emit('packet.skipped', { attachment: attachment.name, reason, ...(host === undefined ? {} : { host }) });
  }

  #respond(request: Stanza): void {
    const response = responseTo(request, this.#options.attachment.domain);
    if (response !== undefined) this.#stream?.send(response);
  }
}

/** Which connection has which node of a host: two nodes of one name would overwrite each other's marks. */
export class NodeNames {
  readonly #holders = new Map<string, string>();

  /** Claims a node's name for a connection. Returns the connection that already holds it, which keeps it. */
  claim({ host, node }: { readonly host: string; readonly node: string }, connection: string): string | undefined {
    const name = `${host} ${node}`;
    const holder = this.#holders.get(name) ?? connection;
    this.#holders.set(name, holder);
    return holder === connection ? undefined : holder;
  }

  /** The connection is gone. */
  release(connection: string): void {
    for (const [name, holder] of this.#holders) if (holder === connection) this.#holders.delete(name);
  }
}

/**
 * The response to a request that users or servers send to the component: a ping is answered, other requests are rejected
 * (RFC 6120 §8.2.3 requires a response to every get and set). Undefined for stanzas that need no response.
 */
function responseTo(stanza: Stanza, domain: string): string | undefined {
  const { from, to, id, type } = stanza.attrs;
  if (stanza.name !== 'iq' || from === undefined || (type !== 'get' && type !== 'set')) return undefined;
  const [payload] = childElements(stanza);
  const head = { id, from: to ?? domain, to: from };
  if (type === 'get' && payload?.ns === 'urn:xmpp:ping') return toXml(element('iq', { ...head, type: 'result' }));
  const error = element('error', { type: 'cancel' }, [element('service-unavailable', { xmlns: stanzaErrorsNs })]);
  return toXml(element('iq', { ...head, type: 'error' }, [error]));
}
