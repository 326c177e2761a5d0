import { deliveryCallbacks } from '../../pools/callback-modules.ts';
import type { Callbacks } from '../../pools/callbacks.ts';
import type { HandlerConfig } from '../../src/config/config.ts';
import * as defaults from '../../src/hooks/builtin/defaults.ts';
import { createHandler } from '../../src/hooks/create-handler.ts';
import type { LoadedHandler } from '../../src/hooks/handler.ts';

/** A handler of `localhost` on the pool `http_pool`, with the default module. */
export function makeHandlerConfig(given: Partial<HandlerConfig> = {}): HandlerConfig {
  return {
    name: 'notifications',
    hosts: ['localhost'],
    pool: 'http_pool',
    path: '/notifications',
    requestPath: '/webservice/notifications',
    callbackModule: 'mod_event_pusher_http_defaults',
    module: { kind: 'builtin', name: 'mod_event_pusher_http_defaults' },
    when: undefined,
    respectHints: false,
    ordering: 'conversation',
    holdMs: 30_000,
    beforePush: undefined,
    followUp: undefined,
    ttlMs: undefined,
    sign: undefined,
    options: {},
    ...given,
  };
}

/** A handler with a user's module, given as its callbacks; without callbacks it has the default module. */
export function makeHandler(given: Partial<HandlerConfig> = {}, callbacks?: Callbacks): LoadedHandler {
  if (callbacks === undefined) return createHandler(makeHandlerConfig(given), defaults);
  const own = { callbackModule: 'own', module: { kind: 'url', url: 'file:///own.mjs' } } as const;
  const hasDeliveryCallbacks = deliveryCallbacks.some((name) => callbacks[name] !== undefined);
  return createHandler(makeHandlerConfig({ ...own, ...given }), callbacks, { hasDeliveryCallbacks });
}
