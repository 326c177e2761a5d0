import type { HttpExit, ProgramUnit } from '../../pools/exits.ts';
import type { Descriptor, ExitsAttachment } from '../../src/config/service-config.ts';
import { unwatched } from '../../src/hooks/call.ts';
import { createModuleCaller } from '../../src/hooks/exit-modules.ts';
import { systemClock, systemTimers, type Timers } from '../../src/kit/clock.ts';
import type { PacketId } from '../../src/model/packet.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import type { UserFunction } from '../../src/sources/http/exits/exit.ts';
import { ExitsSource } from '../../src/sources/http/exits/exits.ts';
import type { Outbox } from '../../src/sources/source.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { Health } from '../../src/telemetry/health.ts';
import { openHttpConnection, type RawAnswer } from './http-connection.ts';
import { type IntakeSetting, startSourceIntake } from './source-intake.ts';

export interface ExitsSetting extends IntakeSetting {
  readonly attachment?: Partial<ExitsAttachment>;
  /** Changes to a descriptor that accepts pushes at `/push` through *SYSTEM, or several complete descriptors. */
  readonly descriptor?: Partial<Descriptor>;
  /** The exit or the unit of that descriptor. */
  readonly exit?: HttpExit;
  readonly unit?: ProgramUnit;
  readonly outbox?: Outbox;
  readonly timers?: Timers;
  readonly timeoutMs?: number;
}

export interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** The listener; default: the first. */
  readonly listener?: number;
}

/** Listeners with descriptors, the real intake and a spool in memory. They record events and deliveries. */
export async function startExitsSource(setting: ExitsSetting = {}) {
  const { timers = systemTimers, clock = systemClock, timeoutMs = 600_000, outbox } = setting;
  const behind = await startSourceIntake(setting);
  const { events } = behind;
  const failed: Events['exit.failed'][] = [];
  events.on('exit.failed', (failure) => failed.push(failure));
  const attachment: ExitsAttachment = { ...plain, descriptors: [descriptorOf(setting)], ...setting.attachment };
  const modules = new Map<string, UserFunction>();
  if (setting.exit !== undefined) modules.set('file:///exit.mjs', setting.exit as UserFunction);
  if (setting.unit !== undefined) modules.set('file:///unit.mjs', setting.unit as UserFunction);
  const health = new Health({ events, attachments: [attachment] });
  let ids = 0;
  const source = new ExitsSource({
    attachment,
    accept: behind.accept,
    newPacketId: () => {
      ids += 1;
      return `id-${ids}` as PacketId;
    },
    readJid: createJidReader({ size: 100 }),
    clock,
    timers,
    events,
    modules,
    callModule: createModuleCaller({ timeoutMs, watch: unwatched, clock, timers: systemTimers, events }),
    checks: () => health.checks(),
    outbox,
  });
  await source.start();
  const ports = () => behind.notices.map((notice) => Number(/http:\S+:(\d+)/.exec(notice)?.[1]));

  async function ask(asked: Asked): Promise<RawAnswer | undefined> {
    using client = await openHttpConnection(ports()[asked.listener ?? 0] ?? 0);
    client.send(requestBytes(asked));
    return await client.answer();
  }

  return {
    ...behind,
    source,
    failed,
    ports,
    ask,
    post: (body: Buffer | string, contentType: string, more: Asked = {}) =>
      ask({ ...more, body, headers: { 'content-type': contentType, ...more.headers } }),
    bodies: () => behind.packets.map(({ stanza }) => stanza.text('body')),
    [Symbol.asyncDispose]: async () => {
      await source.stop();
      await behind[Symbol.asyncDispose]();
    },
  };
}

function descriptorOf({ descriptor, exit, unit }: ExitsSetting): Descriptor {
  return makeDescriptor({
    ...(exit === undefined ? {} : { exit: { kind: 'module', name: 'exit', url: 'file:///exit.mjs' } }),
    ...(unit === undefined ? {} : { unit: { kind: 'module', name: 'unit', url: 'file:///unit.mjs' }, tac: 'UNIT' }),
    ...descriptor,
  });
}

/** A descriptor that accepts pushes at `/push` through *SYSTEM. */
export function makeDescriptor(given: Partial<Descriptor> = {}): Descriptor {
  const defaults = { name: 'D', path: '/push', listener: undefined, tac: 'PUSH', convertText: false, userAuth: 'none' } as const;
  return { ...defaults, unit: { kind: 'builtin', name: 'PUSH' }, exit: { kind: 'system' }, ...given };
}

const plain: ExitsAttachment = {
  type: 'exits',
  name: 'front',
  listeners: [{ name: 'front', host: '127.0.0.1', port: 0 }],
  descriptors: [],
  users: [],
  origins: [],
  hosts: ['localhost'],
  sendThrough: undefined,
  maxBodyBytes: 1_048_576,
  maxHeaders: 100,
  requestTimeoutMs: 5000,
  maxUncommittedBytes: 16_777_216,
  maxConnections: 1000,
  rateLimit: undefined,
};

/** The bytes of a request. */
export function requestBytes({ method = 'POST', path = '/push', headers = {}, body = '' }: Asked): Buffer {
  const bytes = Buffer.from(body);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n${lines.join('')}\r\n`),
    bytes,
  ]);
}
