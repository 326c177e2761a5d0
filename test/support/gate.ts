import type { GateAnswer, GateAsked } from '../../pools/callbacks.ts';
import { createGateListener } from '../../src/gate/listener.ts';
import { unwatched } from '../../src/hooks/call.ts';
import { Gate } from '../../src/hooks/gate.ts';
import type { LoadedHandler } from '../../src/hooks/handler.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import type { PacketId } from '../../src/model/packet.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import type { EventBus } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { eventually } from './eventually.ts';
import { makeHandler } from './make-handler.ts';

/** The real gate of the pusher, with one callback of the test. */
export interface RunningGate extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly events: EventBus;
  /** The questions to the callback, in order. */
  readonly asked: readonly GateAsked[];
  /** The texts of these questions. */
  readonly bodies: readonly string[];
  /** Resolves after this number of questions. */
  waits(count: number): Promise<void>;
  stop(): Promise<void>;
}

export interface GateSetting {
  /** Default: all messages are allowed. */
  readonly gate?: (asked: GateAsked) => GateAnswer | Promise<GateAnswer>;
  /** Replaces the handler with `gate`. */
  readonly handlers?: readonly LoadedHandler[];
  readonly token?: string;
  readonly hosts?: readonly string[];
  readonly timeoutMs?: number;
  readonly maxBodyBytes?: number;
  readonly maxConnections?: number;
  /** Default: a free one. */
  readonly port?: number;
}

export async function startGate(setting: GateSetting = {}): Promise<RunningGate> {
  const {
    gate = () => true,
    token,
    hosts = ['localhost'],
    timeoutMs = 600_000,
    maxBodyBytes = 100_000,
    maxConnections = 1000,
    port = 0,
  } = setting;
  const events = createEventBus();
  const asked: GateAsked[] = [];
  const played = (question: GateAsked) => {
    asked.push(question);
    return gate(question);
  };
  const handlers = setting.handlers ?? [makeHandler({}, { gate: played })];
  const shared = { clock: systemClock, timers: systemTimers, events };

  const listener = createGateListener({
    ...shared,
    config: {
      listen: { host: '127.0.0.1', port },
      token: token === undefined ? undefined : new Secret(token),
      timeoutMs,
      maxBodyBytes,
      maxConnections,
    },
    hosts,
    decide: new Gate({ ...shared, handlers: () => handlers, timeoutMs, watch: unwatched }).decide,
    newPacketId: () => `packet-${asked.length + 1}` as PacketId,
    readJid: createJidReader({ size: 100 }),
  });
  const notice = events.next('notice');
  await listener.start();
  const url = /http:\S+/.exec((await notice).text)?.[0] ?? '';

  return {
    port: Number(new URL(url).port),
    url,
    events,
    asked,
    get bodies() {
      return asked.map(({ packet }) => packet.text('body'));
    },
    waits: (count) => eventually(() => asked.length >= count),
    stop: listener.stop,
    [Symbol.asyncDispose]: listener.stop,
  };
}
