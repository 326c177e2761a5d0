import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import { createPostgresSpool } from '../../src/spool/open.ts';
import type { PostgresSpoolDeps } from '../../src/spool/postgres/spool.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { type Postgres, startPostgres } from '../support/postgres.ts';

/** A server with spools, which are stopped with it at the end. */
export interface PostgresRig extends AsyncDisposable {
  readonly server: Postgres;
  /** In a schema of its own, unless one is given. Not started yet. */
  make(deps?: Partial<PostgresSpoolDeps>, config?: { readonly schema?: string; readonly url?: string }): Spool;
  started(deps?: Partial<PostgresSpoolDeps>, config?: { readonly schema?: string; readonly url?: string }): Promise<Spool>;
}

export async function createPostgresRig(settings: readonly string[] = []): Promise<PostgresRig> {
  const server = await startPostgres(settings);
  const spools: Spool[] = [];
  const defaults: PostgresSpoolDeps = {
    clock: systemClock,
    events: createEventBus(),
    timers: systemTimers,
    onFailed: () => undefined,
    entry: new URL('../../dist/src/spool/postgres/spool.worker.js', import.meta.url), // of the build: its threads start faster
  };

  const make: PostgresRig['make'] = (deps = {}, { schema = `spool_${spools.length}`, url = server.url() } = {}) => {
    const spool = createPostgresSpool({ url: new Secret(url), schema }, { ...defaults, ...deps });
    spools.push(spool);
    return spool;
  };

  return {
    server,
    make,
    started: async (deps, config) => {
      const spool = make(deps, config);
      await spool.start();
      return spool;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled(spools.map((spool) => spool.stop()));
      await server[Symbol.asyncDispose]();
    },
  };
}
