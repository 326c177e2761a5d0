import { systemTimers } from '../kit/clock.ts';
import type { DeliveryId, NewRequest } from '../model/delivery.ts';
import { createJidReader } from '../packet/jid.ts';
import { createCaller } from './call.ts';
import { createContexts } from './context.ts';
import type { EvaluatorOptions } from './evaluate.ts';
import type { LoadedHandler } from './handler.ts';
import { createLeavings } from './leavings.ts';
import { createMeet, type Met } from './meet.ts';
import { packetFromJson } from './packet-json.ts';
import { createTestPacket } from './test-packet.ts';

/** Lets single packets meet single handlers, when an operator asks for it. */
export interface Reviver {
  /**
   * Lets the packet of a dead letter meet its handler again. The delivery keeps the letter's id. Undefined: the handler is
   * not configured, wants no request of it now, or fails on it again.
   */
  revive(letter: { readonly id: DeliveryId; readonly handler: string; readonly packet: string }): Promise<NewRequest | undefined>;
  /** The request that a handler makes of a made-up message, whatever its rules; marked by a header. Undefined: no such handler. */
  testRequest(handler: string): Promise<Met | undefined>;
}

export interface ReviverOptions extends Omit<EvaluatorOptions, 'handlers'> {
  /** Asked anew each time: they change with the configuration. */
  readonly handlers: () => readonly LoadedHandler[];
}

export function createReviver(options: ReviverOptions): Reviver {
  const { handlers, limits, watch, clock, timers = systemTimers, newId, readJid = createJidReader(), events } = options;
  const patient = { ...watch, struckOut: () => false }; // an operator who asks again has mended the module
  const call = createCaller({ timeoutMs: limits.timeoutMs, watch: patient, clock, timers, events });
  const contextOf = createContexts();

  async function meet(handler: LoadedHandler, packet: ReturnType<typeof packetFromJson>, id: DeliveryId): Promise<Met> {
    const leavings = createLeavings({ clock, newId: () => id, readJid });
    return await createMeet({ call, watch: patient, leavings, events }).meet(handler, packet, contextOf(packet));
  }

  function find(name: string): LoadedHandler | undefined {
    return handlers().find(({ config }) => config.name === name);
  }

  return {
    revive: async ({ id, handler: name, packet }) => {
      const handler = find(name);
      const met = handler && (await meet(handler, packetFromJson(packet), id));
      return met?.kind === 'wanted' ? met.delivery : undefined;
    },
    testRequest: async (name) => {
      const handler = find(name);
      if (handler === undefined) return undefined;
      const willing = { ...handler, lets: () => true, callbacks: { ...handler.callbacks, shouldMakeReq: () => true } };
      const id = newId();
      const met = await meet(willing, createTestPacket(handler.config.hosts[0] ?? 'localhost', { id, now: clock.now() }), id);
      return met.kind === 'wanted' ? { kind: 'wanted', delivery: markedAsTest(met.delivery) } : met;
    },
  };
}

/** So that a backend can tell it from a push. */
export function markedAsTest(delivery: NewRequest): NewRequest {
  const headers = [...delivery.target.headers, ['event-pusher-test', '1'] as const];
  return { ...delivery, target: { ...delivery.target, headers } };
}
