import { existsSync } from 'node:fs';
import type { SpoolConfig } from '../config/config.ts';
import { systemClock } from '../kit/clock.ts';
import { createEventBus } from '../telemetry/events.ts';
import { Erasure } from './erasure.ts';
import { History } from './history/history.ts';
import { openSpool } from './open.ts';

/** Opens the spool of a stopped service, erases, and closes it; undefined if there is none. Throws SPOOL_LOCKED if it is in use. */
export async function eraseStopped<T>(config: SpoolConfig, erase: (erasure: Pick<Erasure, 'run'>) => Promise<T>): Promise<T | undefined> {
  if (config.engine === 'memory' || (config.engine === 'sqlite' && !existsSync(config.path))) return undefined;
  const events = createEventBus();
  const spool = openSpool(config, { clock: systemClock, events });
  await spool.start();
  try {
    const parts = { spool, events, clock: systemClock, forget: () => 0, wake: () => undefined };
    return await erase(
      new Erasure({ ...parts, history: new History(config, { clock: systemClock }), rewriteBytes: Number.MAX_SAFE_INTEGER }),
    );
  } finally {
    await spool.stop();
  }
}
