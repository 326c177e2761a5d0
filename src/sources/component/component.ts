/**
 * A component on a chat server (XEP-0114), attached for as long as it lives:
 *
 *   offline → connecting → attached → offline (waiting) → connecting → …
 *
 * The wait doubles with each failure, capped and jittered; after a refusal (wrong secret, unknown component) it starts
 * at half a minute.
 */
import type { PacketId, Stanza } from '../../../pools/contract.ts';
import type { ComponentAttachment } from '../../config/config.ts';
import { type Backoff, backoffMs } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import type { Random } from '../../kit/random.ts';
import type { Timers } from '../../kit/timers.ts';
import { packetFrom, type SeenStanza } from '../../packet/from-xml.ts';
import type { JidReader } from '../../packet/jid.ts';
import type { Packet } from '../../packet/packet.ts';
import type { Accept, Mark } from '../../packet/receipt.ts';
import type { AttachmentState, EventSink } from '../../telemetry/events.ts';
import { createFlow } from '../flow.ts';
import type { Outbox } from '../outbox.ts';
import type { Source } from '../source.ts';
import { answerStranger } from './answer-stranger.ts';
import { createDirectFeed } from './direct-feed.ts';
import type { Feed } from './feed.ts';
import type { FeedOptions } from './feed-options.ts';
import { createComponentOutbox } from './outbox.ts';
import { createServiceLogFeed } from './service-log-feed.ts';
import { type ComponentStream, openStream, type StreamEnd } from './stream.ts';
import { createTapFeed } from './tap-feed.ts';

export interface ComponentOptions {
  readonly attachment: ComponentAttachment;
  readonly accept: Accept;
  /** Where each of its hosts had got to. */
  readonly marks: readonly Mark[];
  /** The stanza kinds that the handlers can want, as the tap's `want` says them, until {@link Source.renewWant}. */
  readonly want: string;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly events: EventSink;
}

/** An attachment that has lasted this long was a success: the next wait starts small again. */
const provenAfterMs = 30_000;
const refusedBackoff: Backoff = { firstMs: 30_000, capMs: 300_000, jitter: 0.2 };

export function createComponentSource(options: ComponentOptions): Source & { readonly outbox: Outbox } {
  const { attachment, clock, timers, random, events } = options;
  const { name } = attachment;
  const failedBackoff: Backoff = { firstMs: 1000, capMs: attachment.reconnectCapMs, jitter: 0.2 };
  const flow = createFlow(options.accept, {
    maxBytes: attachment.maxUncommittedBytes,
    onStop: () => stream?.pause(),
    onGo: () => stream?.resume(),
  });
  const feed = createFeed(options, { attachment, flow, events, timers, toPacket, skip, strange });
  const pingTo = attachment.hosts[0] ?? attachment.domain;
  const outbox = createComponentOutbox({ domain: attachment.domain, pingTo, readJid: options.readJid, timers });
  let stream: ComponentStream | undefined;
  let stopping = false;
  let failures = 0;
  let attachedAt: number | undefined;
  let callOffWait: () => void = () => undefined;

  function connect(): void {
    tell('connecting', '');
    stream = openStream(
      { ...attachment, pingTo, clock, timers },
      {
        onUp: up,
        onStanza: (stanza, bytes) => outbox.takes(stanza) || feed.received(stanza, bytes),
        onUnreadable: () => skip('malformed'),
        onRead: (bytes) => events.emit('stream.read', { attachment: name, bytes }),
        onEnd: ended,
      },
    );
  }

  function up(): void {
    attachedAt = clock.monotonic();
    tell('attached', '');
    const outlet = { send: (xml: string) => stream?.send(xml) };
    feed.attached(outlet);
    outbox.attached(outlet);
    if (flow.stopped) stream?.pause(); // what stopped the last stream is not over
  }

  function ended(end: StreamEnd): void {
    stream = undefined;
    outbox.detached();
    if (attachedAt !== undefined) feed.detached();
    const lasted = attachedAt === undefined ? 0 : clock.monotonic() - attachedAt;
    attachedAt = undefined;
    failures = lasted >= provenAfterMs ? 1 : failures + 1;
    tell(end.kind === 'refused' ? 'refused' : 'offline', end.reason);
    if (stopping) return;
    const wait = backoffMs(end.kind === 'refused' ? refusedBackoff : failedBackoff, failures, random);
    callOffWait = timers.after(wait, connect);
  }

  function tell(state: AttachmentState, reason: string): void {
    events.emit('attachment.state', { attachment: name, host: '', state, reason });
  }

  function toPacket(seen: SeenStanza): Packet {
    const reception = { id: options.newPacketId(), origin: name, receivedAt: clock.now() };
    const { packet, prepared } = packetFrom(seen, reception, options.readJid);
    if (!prepared) events.emit('jid.unprepared', { attachment: name });
    return packet;
  }

  function skip(reason: string): void {
    events.emit('packet.skipped', { attachment: name, reason });
  }

  function strange(stanza: Stanza): void {
    const answer = answerStranger(stanza, attachment.domain);
    if (answer !== undefined) stream?.send(answer);
  }

  const lifecycle = createLifecycle({
    start: async () => connect(),
    stop: async () => {
      stopping = true;
      callOffWait();
      stream?.close();
      outbox.close();
    },
  });

  return {
    name,
    outbox,
    get uncommittedBytes() {
      return flow.uncommittedBytes;
    },
    renewWant: (want) => feed.renewWant(want),
    ...lifecycle,
  };
}

function createFeed({ attachment, marks, want }: ComponentOptions, shared: FeedOptions): Feed {
  switch (attachment.feed) {
    case 'direct':
      return createDirectFeed(shared);
    case 'service_log':
      return createServiceLogFeed(shared);
    case 'tap':
      return createTapFeed({ ...shared, marks, want });
    default:
      return attachment.feed satisfies never;
  }
}
