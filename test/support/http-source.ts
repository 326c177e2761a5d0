import type { Callbacks } from '../../pools/callbacks.ts';
import type { DeliveryId, PacketId } from '../../pools/contract.ts';
import type { HttpAttachment } from '../../src/config/config.ts';
import { createEvaluator } from '../../src/hooks/evaluate.ts';
import { createIntake } from '../../src/hooks/intake.ts';
import { unwatched } from '../../src/hooks/watch.ts';
import type { Clock } from '../../src/kit/clock.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { systemTimers, type Timers } from '../../src/kit/timers.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { createHttpSource } from '../../src/sources/http/http.ts';
import { createMemorySpool } from '../../src/spool/memory/spool.ts';
import type { NewDelivery } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/event-bus.ts';
import { createHealth } from '../../src/telemetry/health.ts';
import { makeHandler } from './make-handler.ts';

export interface HttpSetting {
  readonly attachment?: Partial<HttpAttachment>;
  /** Of the one handler; default: the default module. */
  readonly callbacks?: Callbacks;
  /** A commit waits for this. */
  readonly disk?: () => Promise<void>;
  readonly timers?: Timers;
  readonly clock?: Clock;
}

/** A source that listens, with the real intake behind it and a spool in memory; all that it says and stores is kept. */
export async function startHttpSource({ attachment, callbacks, disk, timers = systemTimers, clock = systemClock }: HttpSetting = {}) {
  const events = createEventBus();
  const skipped: string[] = [];
  const notices: string[] = [];
  const packets: Packet[] = [];
  const stored: NewDelivery[] = [];
  let read = 0;
  events.on('packet.skipped', ({ reason }) => skipped.push(reason));
  events.on('notice', ({ text }) => notices.push(text));
  events.on('stream.read', ({ bytes }) => {
    read += bytes;
  });

  const spool = createMemorySpool({ clock, events });
  await spool.start();
  const limits = { timeoutMs: 600_000, blockTimeoutMs: 10_000 }; // a test's callback takes as long as it likes
  const newId = () => `delivery-${stored.length + 1}` as DeliveryId;
  const handlers = [makeHandler({}, callbacks)];
  const evaluator = createEvaluator({ clock, timers: systemTimers, events, limits, watch: unwatched, newId, handlers });
  const intake = createIntake({
    evaluate: evaluator.evaluate,
    append: async (leavings) => {
      await disk?.();
      await spool.append({ ...leavings, claim: [], refused: [], revives: undefined });
      stored.push(...leavings.deliveries);
    },
    onFailed: (error) => {
      throw error;
    },
    events,
  });

  const settings = { ...plain, ...attachment };
  const health = createHealth({ events, attachments: [settings] });
  const source = createHttpSource({
    attachment: settings,
    accept: (packet, receipt) => {
      if (packet !== undefined) packets.push(packet);
      intake.accept(packet, receipt);
    },
    newPacketId: () => `packet-${packets.length + 1}` as PacketId,
    readJid: createJidReader({ size: 100 }),
    clock,
    timers,
    events,
  });
  await source.start();
  const address = new URL(/http:\S+/.exec(notices[0] ?? '')?.[0] ?? '');

  return {
    source,
    health,
    intake,
    packets,
    stored,
    skipped,
    notices,
    address,
    port: Number(address.port),
    bodies: () => packets.map(({ stanza }) => stanza.text('body')),
    read: () => read,
    [Symbol.asyncDispose]: async () => {
      await source.stop();
      await spool.stop();
    },
  };
}

const plain: HttpAttachment = {
  type: 'http',
  name: 'chat',
  listen: { host: '127.0.0.1', port: 0 },
  path: '/',
  credentials: undefined,
  hosts: ['localhost'],
  maxBodyBytes: 65_536,
  maxUncommittedBytes: 16_777_216,
  rateLimit: undefined,
};

/** The bytes of a MongooseIM 6.8 that posts this form with its default module. */
export function mongooseimPost(form: string, path = '/'): string {
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: ${Buffer.byteLength(form)}`;
  return `${head}\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\n${form}`;
}
