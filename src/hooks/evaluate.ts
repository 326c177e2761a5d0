import type { CallbackLimits } from '../config/config.ts';
import { type Clock, systemTimers, type Timers } from '../kit/clock.ts';
import type { DeliveryId } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';
import { createJidReader, type JidReader } from '../packet/jid.ts';
import type { EventSink } from '../telemetry/events.ts';
import { createCaller } from './call.ts';
import { createContexts } from './context.ts';
import type { Eventually } from './eventually.ts';
import { type Evaluation, fanOut } from './fan-out.ts';
import type { LoadedHandler } from './handler.ts';
import { createLeavings } from './leavings.ts';
import { createMeet } from './meet.ts';
import type { CallbackWatch } from './watch.ts';

export interface EvaluatorOptions {
  /** In the order in which they meet a packet. */
  readonly handlers: readonly LoadedHandler[];
  readonly limits: CallbackLimits;
  readonly watch: CallbackWatch;
  readonly clock: Clock;
  /** Default: the system's. */
  readonly timers?: Timers;
  readonly newId: () => DeliveryId;
  /** Reads the JIDs in what packets say; default: a reader of its own. */
  readonly readJid?: JidReader;
  readonly events: EventSink;
}

export interface Evaluator {
  /**
   * Asks every handler of the packet's host what to push. Answers at once unless a callback waits. Never throws, never
   * rejects: a callback that goes wrong makes a dead letter of its own handler and harms no other.
   */
  evaluate(packet: Packet): Eventually<Evaluation>;
  /** From the next packet on these are the handlers; a packet under way goes on with those that it met first. */
  swap(handlers: readonly LoadedHandler[]): void;
}

const nothing: Evaluation = { deliveries: [], deadLetters: [] };

export function createEvaluator(options: EvaluatorOptions): Evaluator {
  const { limits, watch, clock, timers = systemTimers, newId, readJid = createJidReader(), events } = options;
  const call = createCaller({ timeoutMs: limits.timeoutMs, watch, clock, timers, events });
  const { meet } = createMeet({ call, watch, leavings: createLeavings({ clock, newId, readJid }), events });
  const contextOf = createContexts();
  let byHost = groupByHost(options.handlers);

  return {
    evaluate: (packet) => {
      const handlers = byHost.get(packet.host);
      if (handlers === undefined) return nothing;

      const context = contextOf(packet);
      return fanOut(handlers, (handler) => meet(handler, packet, context));
    },
    swap: (handlers) => {
      byHost = groupByHost(handlers);
    },
  };
}

function groupByHost(handlers: readonly LoadedHandler[]): ReadonlyMap<string, readonly LoadedHandler[]> {
  const byHost = new Map<string, LoadedHandler[]>();
  for (const handler of handlers) {
    for (const host of handler.config.hosts) byHost.set(host, [...(byHost.get(host) ?? []), handler]);
  }
  return byHost;
}
