import type { HttpAttachment } from '../../src/config/service-config.ts';
import { systemClock, systemTimers, type Timers } from '../../src/kit/clock.ts';
import type { PacketId } from '../../src/model/packet.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { commitWithinMs, HttpSource } from '../../src/sources/http/http.ts';
import { Health } from '../../src/telemetry/health.ts';
import { hangMs } from './eventually.ts';
import { type IntakeSetting, startSourceIntake } from './source-intake.ts';

export interface HttpSetting extends IntakeSetting {
  readonly attachment?: Partial<HttpAttachment>;
  readonly timers?: Timers;
}

/** The system's, but with a longer limit for a commit: a busy machine may exceed `commitWithinMs`. */
const slowCommitTimers: Timers = { after: (ms, action) => systemTimers.after(ms === commitWithinMs ? hangMs : ms, action) };

/** A listening source with the real intake and a spool in memory. It records events and deliveries. */
export async function startHttpSource({ attachment, timers = slowCommitTimers, clock = systemClock, ...setting }: HttpSetting = {}) {
  const behind = await startSourceIntake({ ...setting, clock });
  const settings = { ...plain, ...attachment };
  const health = new Health({ events: behind.events, attachments: [settings] });
  const source = new HttpSource({
    attachment: settings,
    accept: behind.accept,
    isAccount: (bare) => bare === 'bot@localhost',
    newPacketId: () => `packet-${behind.packets.length + 1}` as PacketId,
    readJid: createJidReader({ size: 100 }),
    clock,
    timers,
    events: behind.events,
  });
  await source.start();
  const address = new URL(/http:\S+/.exec(behind.notices[0] ?? '')?.[0] ?? '');

  return {
    ...behind,
    source,
    health,
    address,
    port: Number(address.port),
    bodies: () => behind.packets.map(({ stanza }) => stanza.text('body')),
    [Symbol.asyncDispose]: async () => {
      await source.stop();
      await behind[Symbol.asyncDispose]();
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
  maxConnections: 1000,
  rateLimit: undefined,
};

/** The bytes with which MongooseIM 6.8 posts this form with its default module. */
export function mongooseimPost(form: string, path = '/'): string {
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: ${Buffer.byteLength(form)}`;
  return `${head}\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\n${form}`;
}
