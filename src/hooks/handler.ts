import type { AcceptCallbacks, GateCallbacks, HandlerOpts, PacketAsked, RequestPrepared } from '../../pools/accept-callbacks.ts';
import type { HandlerConfig, When } from '../config/config.ts';
import type { HeaderPair } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';

/** A handler ready to evaluate packets: its rules compiled, its module loaded, missing callbacks filled in. */
export interface LoadedHandler {
  readonly config: HandlerConfig;
  readonly callbacks: Required<AcceptCallbacks>;
  /** Decides about messages that a chat server holds; undefined if its module has no `gate`. */
  readonly gate: GateCallbacks['gate'];
  /** Whether its module has callbacks at delivery: the pool's thread then needs the stanza. */
  readonly hasDeliveryCallbacks: boolean;
  /** Its module, if it is one of the service's own. */
  readonly builtIn: BuiltIn | undefined;
  readonly opts: HandlerOpts;
  /** Functions that its module exports by name and that are not callbacks. */
  readonly uncalled: readonly string[];
  /** Rules that match every packet that it may push, and possibly others: {@link HandlerIndex} finds it by them. */
  readonly selection: Rules;
  /** Whether a packet matches `when` and `respect_hints`. Without them every packet matches except reports. */
  matches(packet: Packet): boolean;
  /** The same for its gate, which ignores `respect_hints`: a hint must not bypass the gate. */
  matchesHeld(packet: Packet): boolean;
}

/** The rules of a handler, compiled. `rules.ts` compiles a `when` to them. */
export interface Rules {
  readonly matches: Rule;
  /**
   * Whether a packet of this shape (direction, stanza, event, kind and type) may match: false only if none does. It reads nothing
   * else of the packet.
   */
  readonly matchesShape: Rule;
  /** The names of stanzas and types by which `matchesShape` distinguishes packets. */
  readonly words: readonly string[];
  /** The bare JIDs of senders and receivers of all packets that match; undefined if the rules do not list them. */
  readonly from: readonly string[] | undefined;
  readonly to: readonly string[] | undefined;
}

export type Rule = (packet: Packet) => boolean;

/** A module of the service: it never blocks and never waits, and its results need no check. */
export interface BuiltIn extends AcceptCallbacks {
  /** Rules that match every packet that `shouldMakeReq` accepts. */
  readonly selection: When;
  readonly headers: readonly HeaderPair[];
  shouldMakeReq(asked: Omit<PacketAsked, 'opts'>): boolean;
  prepareBody(prepared: Omit<RequestPrepared, 'opts'>): string;
}
