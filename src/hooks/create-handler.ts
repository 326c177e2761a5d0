import type { AcceptCallbacks, GateCallbacks, HandlerOpts } from '../../pools/accept-callbacks.ts';
import type { HandlerConfig } from '../config/config.ts';
import { deepFreeze } from '../kit/deep-freeze.ts';
import { asksNotToBeStored } from '../packet/kind.ts';
import * as defaults from './builtin/defaults.ts';
import { createGlobReader, type GlobReader } from './globs.ts';
import type { BuiltIn, LoadedHandler } from './handler.ts';
import { compileWhen } from './rules.ts';

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
