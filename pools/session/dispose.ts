import type { DispositionKind } from '../../src/model/attempt.ts';
import type { Message } from '../callbacks.ts';
import type { CallbackCaller } from './call-callback.ts';
import type { HandlerModule } from './load-modules.ts';

/** Whether a module wants to be told what becomes of its deliveries. */
export function hasDisposer({ callbacks }: HandlerModule): boolean {
  return Object.values(disposers).some((name) => callbacks[name] !== undefined);
}

/** Calls the disposer of what has become of a message, with the message alone. Undefined: nobody knows. */
export async function dispose(
  caller: CallbackCaller,
  { module, message }: { readonly module: HandlerModule; readonly message: Message },
  disposition: DispositionKind | undefined,
): Promise<void> {
  if (disposition === undefined) return;
  const callback = disposers[disposition];
  await caller.call({ module, callback, id: message.id, invoke: (callbacks) => callbacks[callback]?.(message) });
}

const disposers = {
  dead: 'disposePermfail',
  delivered: 'disposeDelivery',
  retry: 'disposeTempfail',
} as const satisfies Record<DispositionKind, string>;
