import type { Attachment, ClientAttachment } from '../../src/config/service-config.ts';
import { defaultTls } from '../../src/config/tls.ts';
import { systemClock, systemTimers, type Timers } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import type { Mark, Packet, PacketId, Receipt } from '../../src/model/packet.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { ClientSource } from '../../src/sources/client/client.ts';
import { createOwnTraffic } from '../../src/sources/own-traffic.ts';
import { createEventBus, type Events } from '../../src/telemetry/events.ts';
import { Health } from '../../src/telemetry/health.ts';
import { eventually } from './eventually.ts';

export interface ClientSetting {
  /** The server's port for clients. */
  readonly port: number;
  readonly attachment?: Partial<ClientAttachment>;
  /** Other attachments of the same service. */
  readonly otherAttachments?: readonly Attachment[];
  /** Marks on disk, from earlier runs; updated by each commit. */
  readonly disk?: Map<string, Mark>;
  /** Default: commits each message as soon as it is handed over. */
  readonly commit?: boolean;
  readonly timers?: Timers;
}

export type ClientRig = Awaited<ReturnType<typeof startClientSource>>;

/** An account's source that records its events and packets. It logs in as bob by default. */
export async function startClientSource({ port, attachment, otherAttachments = [], disk = new Map(), ...setting }: ClientSetting) {
  const { commit = true, timers = systemTimers } = setting;
  const readJid = createJidReader({ size: 100 });
  const events = createEventBus();
  const packets: Packet[] = [];
  const receipts: Receipt[] = [];
  const skipped: string[] = [];
  const states: Events['attachment.state'][] = [];
  let gaps = 0;
  events.on('packet.skipped', ({ reason }) => skipped.push(reason));
  events.on('attachment.state', (state) => states.push(state));
  events.on('archive.gap', () => {
    gaps += 1;
  });

  const settings = accountOf({ service: { host: '127.0.0.1', port }, ...attachment });
  const health = new Health({ events, attachments: [settings] });
  const source = new ClientSource({
    attachment: settings,
    accept: (packet, receipt) => {
      if (packet !== undefined) packets.push(packet);
      receipts.push(receipt);
      if (!commit) return;
      if (receipt.mark !== undefined) disk.set(receipt.mark.node, receipt.mark);
      receipt.committed();
    },
    marks: [...disk.values()],
    newPacketId: () => `packet-${packets.length + 1}` as PacketId,
    readJid,
    isOwn: createOwnTraffic([settings, ...otherAttachments], readJid).isOwn,
    clock: systemClock,
    timers,
    random: () => 0.5,
    events,
  });
  await source.start();

  return {
    source,
    events,
    health,
    packets,
    receipts,
    skipped,
    states,
    disk,
    gaps: () => gaps,
    /** The packets, as `in alice@localhost > bob@localhost: Hi`. */
    seen: () => packets.map(describe),
    bodies: () => packets.map(({ stanza }) => stanza.text('body')),
    /** The reason why it is not attached; empty while it is. */
    reason: () => health.checks().find(({ name }) => name.startsWith('attachment'))?.reason ?? '',
    attached: () => eventually(() => health.attached().every(({ attached }) => attached)),
    [Symbol.asyncDispose]: () => source.stop(),
  };
}

/** The attachment of an account, with deadlines and limits that no test reaches by accident. */
export function accountOf(given: Partial<ClientAttachment>): ClientAttachment {
  return { ...plain, ...given };
}

const plain: ClientAttachment = {
  type: 'client',
  name: 'bot',
  service: { host: '127.0.0.1', port: 0 },
  encryption: 'plain',
  tls: defaultTls,
  jid: { user: 'bob', domain: 'localhost' },
  password: new Secret('pw'),
  resource: 'pusher',
  priority: 0,
  rooms: [],
  carbons: true,
  archive: true,
  hosts: ['localhost'],
  maxStanzaBytes: 1_048_576,
  maxUncommittedBytes: 16_777_216,
  pingIntervalMs: 30_000,
  pingTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
  reconnectCapMs: 60_000,
};

function describe({ direction, from, to, stanza }: Packet): string {
  return `${direction} ${from.full} > ${to.bare}: ${stanza.text('body')}`;
}
