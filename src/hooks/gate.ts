import type { Clock, Timers } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Packet } from '../model/packet.ts';
import { type Decide, type GateDecision, withBody } from '../packet/gate-decision.ts';
import type { EventSink } from '../telemetry/events.ts';
import { checkedGate } from './answers.ts';
import { createCaller } from './call.ts';
import { createContexts } from './context.ts';
import type { LoadedHandler } from './handler.ts';
import { type CallbackWatch, watched } from './watch.ts';

export interface GateOptions {
  /** Those of the present, in the order in which they are asked. */
  handlers(): readonly LoadedHandler[];
  /** So long all of them may take together, ms. */
  readonly timeoutMs: number;
  readonly watch: CallbackWatch;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

/**
 * Asks the `gate` of every handler of the host that has one and whose `when` lets the message through, one after the
 * other: the first refusal ends it, and a change is seen by the next. A gate that goes wrong ends it too, without a
 * decision. Where nobody is asked, a message may go on.
 */
export function createGate({ handlers, timeoutMs, watch, clock, timers, events }: GateOptions): Decide {
  const contextOf = createContexts();

  return async (packet) => {
    const endsAt = clock.monotonic() + timeoutMs;
    const context = contextOf(packet);
    let decision: GateDecision = allowed;
    let seen = packet;

    for (const handler of handlers()) {
      const { gate } = handler;
      if (gate === undefined || !handler.config.hosts.includes(packet.host)) continue;
      const invoke = () => {
        const { acc, from, to, opts } = context.asked(handler);
        return gate({ acc, packet: seen.stanza, from, to, opts });
      };
      const given = await ask(handler, { packet: seen, invoke, leftMs: endsAt - clock.monotonic() });
      if (given.kind === 'failed' || given.kind === 'refused') return given;
      if (given.kind === 'allowed') continue;
      decision = given;
      seen = { ...seen, stanza: withBody(seen.stanza, given.body) };
    }
    return decision;
  };

  /** Also allowed if its rules do not match the message. */
  async function ask(handler: LoadedHandler, { packet, invoke, leftMs }: Question): Promise<GateDecision> {
    const { name, callbackModule, when } = handler.config;
    const { key, id } = packet;
    try {
      if (watch.struckOut(name, key)) throw blocked(name, callbackModule);
      const holds = () => handler.holds(packet);
      if (!(when === undefined ? holds() : watched(watch, { handler: name, packetKey: key }, holds))) return allowed;
      const call = createCaller({ timeoutMs: Math.max(1, Math.ceil(leftMs)), watch, clock, timers, events });
      return await call({ handler: name, callback: 'gate', packetKey: key, invoke, check: checkedGate });
    } catch (thrown) {
      const error = toError(thrown);
      events.emit('gate.failed', { handler: name, packetId: id, error });
      return { kind: 'failed', reason: `the gate of handler ${name} went wrong` };
    }
  }
}

const allowed: GateDecision = { kind: 'allowed' };

interface Question {
  readonly packet: Packet;
  readonly invoke: () => unknown;
  readonly leftMs: number;
}

function blocked(handler: string, callbackModule: string): ServiceError {
  const text = `handler ${handler} (${callbackModule}) blocked the thread on this message too often; it is skipped for this message`;
  return new ServiceError('CALLBACK_BLOCKED', text);
}
