import type { AcceptCallbacks, GateCallbacks, HandlerOpts, PacketAsked, RequestPrepared } from '../../pools/accept-callbacks.ts';
import type { HandlerConfig, When } from '../config/config.ts';
import { deepFreeze } from '../kit/deep-freeze.ts';
import type { HeaderPair } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';
import { asksNotToBeStored } from '../packet/kind.ts';
import * as defaults from './builtin/defaults.ts';
import { createGlobReader, type GlobReader } from './globs.ts';
import { compileWhen, type Rules } from './rules.ts';

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

/** A module of the service: it never blocks and never waits, and its results need no check. */
export interface BuiltIn extends AcceptCallbacks {
  /** Rules that match every packet that `shouldMakeReq` accepts. */
  readonly selection: When;
  readonly headers: readonly HeaderPair[];
  shouldMakeReq(asked: Omit<PacketAsked, 'opts'>): boolean;
  prepareBody(prepared: Omit<RequestPrepared, 'opts'>): string;
}

/**
 * Makes a handler from its configuration and the callbacks of its module; the default module fills in missing callbacks. A `when`
 * replaces the `shouldMakeReq` of a built-in module or of the default module; a packet must pass both `when` and a module's own `shouldMakeReq`.
 */
export function createHandler(
  config: HandlerConfig,
  callbacks: BuiltIn | (AcceptCallbacks & GateCallbacks),
  { hasDeliveryCallbacks = false, uncalled = [], readGlob = createGlobReader() }: HandlerOptions = {},
): LoadedHandler {
  const { when } = config;
  const builtIn = 'selection' in callbacks ? callbacks : undefined;
  const rules = compileWhen(when ?? {}, readGlob);
  const filled = { shouldMakeReq, prepareHeaders, prepareBody, ...callbacks };

  return {
    config,
    callbacks: when !== undefined && callbacks.shouldMakeReq === undefined ? { ...filled, shouldMakeReq: () => true } : filled,
    gate: 'gate' in callbacks ? callbacks.gate : undefined,
    hasDeliveryCallbacks,
    builtIn,
    opts: optsOf(config),
    uncalled,
    selection: when === undefined ? compileWhen(builtIn?.selection ?? {}) : rules,
    matches: config.respectHints ? (packet) => rules.matches(packet) && !asksNotToBeStored(packet.stanza) : rules.matches,
    matchesHeld: rules.matches,
  };
}

/** `readGlob` is shared by the handlers of a configuration. */
type HandlerOptions = Partial<Pick<LoadedHandler, 'hasDeliveryCallbacks' | 'uncalled'>> & { readonly readGlob?: GlobReader };

const { shouldMakeReq, prepareHeaders, prepareBody } = defaults;

/** Deeply frozen: a callback cannot change the options of another call. */
function optsOf({ name, pool, path, callbackModule, options }: HandlerConfig): HandlerOpts {
  return deepFreeze({ ...structuredClone(options), name, poolName: pool, path, callbackModule });
}
