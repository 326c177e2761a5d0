import type { Clock, Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import type { Packet } from '../model/packet.ts';
import type { Decide, GateDecision } from '../packet/gate-decision.ts';
import { withBody } from '../packet/gate-decision.ts';
import { freezeStanza, isXmlText } from '../packet/xml/element.ts';
import type { EventSink } from '../telemetry/events.ts';
import { CallbackCaller, type CallbackWatch, describeValue, watched } from './call.ts';
import { createContexts } from './context.ts';
import { blockedTooOften } from './evaluate.ts';
import type { LoadedHandler } from './handler.ts';

interface GateOptions {
  /** The current handlers, in the order in which they are asked. */
  handlers(): readonly LoadedHandler[];
  /** Limit for all gates of a message together, ms. */
  readonly timeoutMs: number;
  readonly watch: CallbackWatch;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #caller: CallbackCaller;
  readonly #contextOf = createContexts();

  constructor(options: GateOptions) {
    this.#options = options;
    this.#caller = new CallbackCaller(options);
  }

  /**
   * Calls the `gate` of every handler of the host whose `when` matches the message, one after the other: the first
   * refusal is final, and each gate sees the changes of those before it. A failed gate is final too, without a decision.
   * Without a gate the message is allowed. Bound: the listener gets it as a function.
   */
  readonly decide: Decide = async (packet) => {
    const { clock, timeoutMs, handlers } = this.#options;
    const endsAt = clock.monotonic() + timeoutMs;
    const context = this.#contextOf(packet);
    let decision: GateDecision = allowed;
    let seen = packet;

    for (const handler of handlers()) {
      const { gate } = handler;
      if (gate === undefined || !handler.config.hosts.includes(packet.host)) continue;
      const invoke = () => {
        const { acc, from, to, opts } = context.packetAsked(handler);
        return gate({ acc, packet: freezeStanza(seen.stanza), from, to, opts });
      };
      const result = await this.#ask(handler, { packet: seen, invoke, leftMs: endsAt - clock.monotonic() });
      if (result.kind === 'failed' || result.kind === 'refused') return result;
      if (result.kind === 'allowed') continue;
      decision = result;
      seen = { ...seen, stanza: withBody(seen.stanza, result.body) };
    }
    return decision;
  };

  /** Also allowed if the rules of the handler do not match the message. */
  async #ask(handler: LoadedHandler, { packet, invoke, leftMs }: Question): Promise<GateDecision> {
    const { watch, events } = this.#options;
    const { name, when } = handler.config;
    const watchedPacket = { handler: name, packetKey: packet.key };
    try {
      if (watch.struckOut(name, packet.key)) throw blockedTooOften(handler, 'message');
      const matches = () => handler.matchesHeld(packet);
      if (!(when === undefined ? matches() : watched(watch, watchedPacket, matches))) return allowed;
      const timeoutMs = Math.max(1, Math.ceil(leftMs));
      return await this.#caller.call({ ...watchedPacket, callback: 'gate', timeoutMs, invoke, check: checkedDecision });
    } catch (thrown) {
      events.emit('gate.failed', { handler: name, packetId: packet.id, error: toError(thrown) });
      return { kind: 'failed', reason: `the gate of handler ${name} failed` };
    }
  }
}

const allowed: GateDecision = { kind: 'allowed' };

interface Question {
  readonly packet: Packet;
  readonly invoke: () => unknown;
  /** Time left for all gates, ms. */
  readonly leftMs: number;
}

/** The decision that the result of a `gate` stands for. Throws a TypeError, which does not quote the result, for the author of the module. */
function checkedDecision(result: unknown): GateDecision {
  if (result === undefined || result === true) return allowed;
  if (result === false) return { kind: 'refused', text: refusal };
  if (typeof result !== 'object' || result === null)
    throw new TypeError(`expected a boolean, { refuse } or { body }, got ${describeValue(result)}`);
  if ('refuse' in result) return { kind: 'refused', text: checkedText('refuse', result.refuse) || refusal };
  if (!('body' in result)) throw new TypeError('expected { refuse } or { body }, got an object without either');
  const body = checkedText('body', result.body);
  if (body === '') throw new TypeError('expected a non-empty body: return { refuse } to hold the message back');
  return { kind: 'changed', body };
}

/** Text for the sender if the gate gives none. */
const refusal = 'This message was not accepted.';

function checkedText(name: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`expected ${name} to be a string, got ${describeValue(value)}`);
  if (!isXmlText(value)) throw new TypeError(`expected ${name} to be XML text, got a character that XML does not allow`);
  return value;
}
