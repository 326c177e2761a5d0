import { deliveryCallbacks } from '../../pools/callback-modules.ts';
import type { AcceptCallbacks, Callbacks, HandlerOpts } from '../../pools/callbacks.ts';
import type { HandlerConfig } from '../config/config.ts';
import { deepFreeze } from '../kit/json.ts';
import type { Packet } from '../model/packet.ts';
import { asksNotToBeStored } from '../packet/kind.ts';
import * as defaults from './builtin/defaults.ts';
import { compileWhen, noReports, type Rule } from './rules.ts';

/** A handler ready to meet packets: its rules compiled, its module loaded, what the module left out filled in. */
export interface LoadedHandler {
  readonly config: HandlerConfig;
  readonly callbacks: Required<AcceptCallbacks>;
  /** Decides about messages that a chat server holds; undefined where its module does not. */
  readonly gate: Callbacks['gate'];
  /** Its module has callbacks at delivery, so the pool's thread needs the stanza. */
  readonly delivers: boolean;
  /** Its module is one of ours: it gives the thread back, and what it returns needs no second look. */
  readonly builtIn: boolean;
  readonly opts: HandlerOpts;
  /** Functions that its module exports by name and that are no callbacks. */
  readonly uncalled: readonly string[];
  /** Whether the handler's `when` and `respect_hints` let a packet through; without them everything but reports. */
  lets(packet: Packet): boolean;
  /** The same for its gate: what is to be kept nowhere is asked about all the same, or a hint would open the gate. */
  holds(packet: Packet): boolean;
}

/**
 * Puts a handler together from its configuration and its module's callbacks; what is missing is the default module's. A
 * `when` takes the place of a built-in module's own test, the default's filled in included; with a `shouldMakeReq` of the user's both must agree.
 */
export function createHandler(config: HandlerConfig, callbacks: Callbacks, uncalled: readonly string[] = []): LoadedHandler {
  const builtIn = config.module.kind === 'builtin';
  const ruled = config.when !== undefined && (builtIn || callbacks.shouldMakeReq === undefined);
  const filled = { shouldMakeReq, prepareHeaders, prepareBody, ...callbacks };

  return {
    config,
    callbacks: ruled ? { ...filled, shouldMakeReq: () => true } : filled,
    gate: callbacks.gate,
    delivers: deliveryCallbacks.some((name) => callbacks[name] !== undefined),
    builtIn,
    opts: optsOf(config),
    uncalled,
    lets: ruleOf(config),
    holds: whenOf(config),
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

/** Frozen through and through, so that no callback changes what another call is given. */
function optsOf({ name, pool, path, callbackModule, options }: HandlerConfig): HandlerOpts {
  return deepFreeze({ ...structuredClone(options), name, poolName: pool, path, callbackModule });
}
