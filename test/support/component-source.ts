import { startTapServer, type TapServer, type TapServerOptions } from '../../demo/tap-server.ts';
import type { ComponentAttachment, ComponentNode } from '../../src/config/config.ts';
import type { Attachment } from '../../src/config/service-config.ts';
import { systemClock, systemTimers, type Timers } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import type { Mark, Packet, PacketId, Receipt, Subscription } from '../../src/model/packet.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { openComponent } from '../../src/sources/open.ts';
import { createOwnTraffic } from '../../src/sources/own-traffic.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { eventually } from './eventually.ts';

export const messages: Subscription = { want: 'message', dir: 'in out' };

/** A packet that a source has handed over. */
export interface Handed {
  readonly packet: Packet | undefined;
  readonly receipt: Receipt;
}

export interface Setting {
  readonly attachment?: Partial<ComponentAttachment>;
  readonly server?: Partial<TapServerOptions>;
  /** More nodes of the same chat server. */
  readonly others?: readonly Pick<TapServer, 'port'>[];
  /** Other attachments of the same service. */
  readonly otherAttachments?: readonly Attachment[];
  readonly marks?: readonly Mark[];
  readonly timers?: Timers;
  /** Commits each packet as soon as it is handed over; default true. */
  readonly commit?: boolean;
}

/** A component source on a scripted server; records its events and packets. */
export async function startSource({ attachment, others = [], timers = systemTimers, commit = true, ...setting }: Setting = {}) {
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret', ...setting.server });
  const events = createEventBus();
  const handed: Handed[] = [];
  const skipped: string[] = [];
  const states: Events['attachment.state'][] = [];
  const holes: (number | undefined)[] = [];
  events.on('packet.skipped', ({ reason }) => skipped.push(reason));
  events.on('attachment.state', (state) => states.push(state));
  const unmarked: number[] = [];
  events.on('tap.hole', ({ missing }) => holes.push(missing));
  events.on('tap.mark-missing', ({ items }) => unmarked.push(items));

  const readJid = createJidReader({ size: 100 });
  const settings = attachmentTo({ nodes: [server, ...others].map(({ port }) => nodeAt(port)), ...attachment });
  const source = openComponent({
    attachment: settings,
    accept: (packet, receipt) => {
      handed.push({ packet, receipt });
      if (commit) receipt.committed();
    },
    marks: setting.marks ?? [],
    subscription: messages,
    instance: 'instance-1',
    newPacketId: () => `packet-${handed.length + 1}` as PacketId,
    readJid,
    isOwn: createOwnTraffic([settings, ...(setting.otherAttachments ?? [])], readJid).isOwn,
    clock: systemClock,
    timers,
    random: () => 0.5,
    events,
  });
  await source.start();

  return {
    server,
    source,
    events,
    handed,
    skipped,
    states,
    holes,
    unmarked,
    bodies: () => handed.map(({ packet }) => packet?.stanza.text('body')),
    attached: () => eventually(() => states.some(({ host, state }) => host !== '' && state === 'attached')),
    [Symbol.asyncDispose]: async () => {
      await source.stop();
      await server.close();
    },
  };
}

/** The attachment `chat`, with deadlines and limits that no test reaches by accident. */
export function attachmentTo(given: Partial<ComponentAttachment>): ComponentAttachment {
  return { ...plain, ...given };
}

const plain: ComponentAttachment = {
  type: 'component',
  name: 'chat',
  nodes: [],
  domain: 'pusher.localhost',
  secret: new Secret('s3cret'),
  feed: 'tap',
  hosts: ['localhost'],
  maxStanzaBytes: 1_048_576,
  maxUncommittedBytes: 16_777_216,
  pingIntervalMs: 30_000,
  pingTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
  reconnectCapMs: 60_000,
};

/** A node of a chat server on this machine. */
export function nodeAt(port: number): ComponentNode {
  return { name: `xmpp://127.0.0.1:${port}`, host: '127.0.0.1', port };
}

/** A chat message as a client sends it. */
export function chat(body: string, { from = 'alice@localhost/phone', to = 'bob@localhost', id = 'm1' } = {}): string {
  return `<message xmlns='jabber:client' type='chat' id='${id}' from='${from}' to='${to}'><body>${body}</body></message>`;
}
