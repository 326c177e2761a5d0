import { deliveryCallbacks } from '../../pools/callback-modules.ts';
import type { AcceptCallbacks, Callbacks, HandlerOpts } from '../../pools/callbacks.ts';
import type { HandlerConfig } from '../config/config.ts';
import { deepFreeze } from '../kit/json.ts';
import type { Packet } from '../model/packet.ts';
import { asksNotToBeStored } from '../packet/kind.ts';
import * as defaults from './builtin/defaults.ts';
import { compileWhen, noReports, type Rule } from './rules.ts';

/** A handler ready to evaluate packets: its rules compiled, its module loaded, missing callbacks filled in. */
export interface LoadedHandler {
  readonly config: HandlerConfig;
  readonly callbacks: Required<AcceptCallbacks>;
  /** Decides about messages that a chat server holds; undefined if its module has no `gate`. */
  readonly gate: Callbacks['gate'];
  /** Whether its module has callbacks at delivery: the pool's thread then needs the stanza. */
  readonly hasDeliveryCallbacks: boolean;
  /** Whether its module is one of the service's own: it never blocks, and its results need no check. */
  readonly builtIn: boolean;
  readonly opts: HandlerOpts;
  /** Functions that its module exports by name and that are not callbacks. */
  readonly uncalled: readonly string[];
  /** Whether a packet matches `when` and `respect_hints`. Without them every packet matches except reports. */
  matches(packet: Packet): boolean;
  /** The same for its gate, which ignores `respect_hints`: a hint must not bypass the gate. */
  matchesHeld(packet: Packet): boolean;
}

/**
 * Makes a handler from its configuration and the callbacks of its module; the default module fills in missing callbacks. A `when`
 * replaces the `shouldMakeReq` of a built-in module or of the default module; a packet must pass both `when` and a module's own `shouldMakeReq`.
 */
export function createHandler(config: HandlerConfig, callbacks: Callbacks, uncalled: readonly string[] = []): LoadedHandler {
  const builtIn = config.module.kind === 'builtin';
  const isDecidedByRules = config.when !== undefined && (builtIn || callbacks.shouldMakeReq === undefined);
  const filled = { shouldMakeReq, prepareHeaders, prepareBody, ...callbacks };

  return {
    config,
    callbacks: isDecidedByRules ? { ...filled, shouldMakeReq: () => true } : filled,
    gate: callbacks.gate,
    hasDeliveryCallbacks: deliveryCallbacks.some((name) => callbacks[name] !== undefined),
    builtIn,
    opts: optsOf(config),
    uncalled,
    matches: ruleOf(config),
    matchesHeld: whenOf(config),
  };
}

const { shouldMakeReq, prepareHeaders, prepareBody } = defaults;

function ruleOf(config: HandlerConfig): Rule {
  const rule = whenOf(config);
  return config.respectHints ? (packet) => rule(packet) && !asksNotToBeStored(packet.stanza) : rule;
}

function whenOf({ when }: HandlerConfig): Rule {
  return when === undefined ? noReports : compileWhen(when);
}

/** Deeply frozen: a callback cannot change the options of another call. */
function optsOf({ name, pool, path, callbackModule, options }: HandlerConfig): HandlerOpts {
  return deepFreeze({ ...structuredClone(options), name, poolName: pool, path, callbackModule });
}
