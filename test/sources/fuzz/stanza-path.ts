/** The path of a stanza without the socket: bytes → reader → feed → packet. */

import { packetToJson } from '../../../src/hooks/delivery-factory.ts';
import { ServiceError } from '../../../src/kit/errors.ts';
import type { Packet, PacketId, Receipt } from '../../../src/model/packet.ts';
import { packetFrom } from '../../../src/packet/from-xml.ts';
import { createJidReader } from '../../../src/packet/jid.ts';
import type { Feed, FeedContext } from '../../../src/sources/component/feed.ts';
import { TapFeed } from '../../../src/sources/component/tap-feed.ts';
import { createDirectFeed, createServiceLogFeed } from '../../../src/sources/component/unacknowledged-feeds.ts';
import { createOwnTraffic } from '../../../src/sources/own-traffic.ts';
import { Flow } from '../../../src/sources/source.ts';
import { createStanzaReader } from '../../../src/sources/xmpp-stream.ts';
import { createEventBus } from '../../../src/telemetry/events.ts';
import { attachmentTo, messages } from '../../support/component-source.ts';
import type { RecordedStream } from './streams.ts';

export interface Walk {
  readonly packets: readonly Packet[];
  /** The numbers of a tap's items that may be acknowledged, in the order of handing over. */
  readonly numbers: readonly number[];
  /** All results that could differ, as texts: packets, skipped stanzas, and the end of the stream. */
  readonly told: readonly string[];
}

export const maxStanzaBytes = 8192;

const readJid = createJidReader({ size: 1000 });

/** Walks a stream in these reads to its end. Throws only errors that no stream may cause. */
export function walk({ feed: name, host, domain }: Omit<RecordedStream, 'bytes'>, reads: Iterable<Buffer>): Walk {
  const packets: Packet[] = [];
  const numbers: number[] = [];
  const told: string[] = [];
  const events = createEventBus();
  events.on('tap.hole', ({ missing }) => told.push(`hole ${missing}`));

  function accept(packet: Packet | undefined, { mark }: Receipt): void {
    if (mark !== undefined) numbers.push(mark.h);
    if (packet === undefined) return;
    packets.push(packet);
    told.push(packetToJson(packet));
  }

  const attachment = attachmentTo({ feed: name, hosts: [host], domain, maxStanzaBytes });
  const shared: FeedContext = {
    attachment,
    ...createOwnTraffic([attachment], readJid),
    flow: new Flow(accept, { maxBytes: Number.POSITIVE_INFINITY }),
    events,
    timers: { after: () => () => undefined },
    reportState: (ofHost, state, reason) => told.push(`${ofHost} ${state} ${reason}`),
    toPacket: (seen) => packetFrom(seen, { id: 'packet' as PacketId, origin: 'chat', receivedAt: 0 }, readJid).packet,
    skip: (reason) => told.push(`skipped ${reason}`),
    onOther: (stanza) => told.push(`other ${stanza.xml}`),
  };
  told.push(readAll(openFeed(shared), reads));
  return { packets, numbers, told };

  function openFeed(options: FeedContext): Feed {
    const opened = {
      direct: () => createDirectFeed(options),
      service_log: () => createServiceLogFeed(options),
      tap: () =>
        new TapFeed({
          ...options,
          marks: [],
          subscription: messages,
          instance: 'fuzz',
          claimNode: () => undefined,
          hasStoodBy: () => false,
          refuse: () => told.push('refused'),
        }),
    }[name]();
    opened.attached({ send: () => undefined });
    return opened;
  }

  function readAll(feed: Feed, chunks: Iterable<Buffer>): string {
    let end = 'open';
    let proven = false;
    const reader = createStanzaReader({
      maxStanzaBytes,
      onOpen: () => undefined,
      onStanza: (stanza, bytes) => {
        if (proven) feed.received(stanza, bytes);
        else proven = true; // the answer to our handshake
      },
      onUnreadable: (stanza) => feed.unreadable(stanza),
      onClose: () => {
        end = 'closed';
      },
    });
    try {
      for (const chunk of chunks) reader.push(chunk);
      return end;
    } catch (thrown) {
      // Which of two errors is found first depends on the reads; the packets before them do not.
      if (thrown instanceof ServiceError && (thrown.code === 'STREAM_INVALID' || thrown.code === 'STANZA_TOO_LARGE')) return 'refused';
      throw thrown;
    }
  }
}
