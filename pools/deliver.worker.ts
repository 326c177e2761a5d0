import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../src/kit/clock.ts';
import type { PoolThreadSettings } from './contract.ts';
import { serve } from './serve.ts';

/** The one task of a pool's thread: it lasts as long as the thread, and is fed over the port. */
export default function deliver({ port, settings }: { readonly port: MessagePort; readonly settings: PoolThreadSettings }): Promise<void> {
  return serve({ port, settings, clock: systemClock });
}
