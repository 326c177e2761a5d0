import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SpoolConfig } from '../../src/config/config.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { createSqliteSpool } from '../../src/spool/open.ts';
import type { Spool } from '../../src/spool/spool.ts';
import type { SqliteSpoolDeps } from '../../src/spool/sqlite/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { makeConfig } from './build.ts';

/** A folder with spools, which are stopped and removed at the end. */
export interface SqliteRig extends AsyncDisposable {
  readonly folder: string;
  readonly path: string;
  /** Not started yet. */
  make(deps?: Partial<SqliteSpoolDeps>, config?: Partial<SpoolConfig>): Spool;
  started(deps?: Partial<SqliteSpoolDeps>, config?: Partial<SpoolConfig>): Promise<Spool>;
}

export async function createSqliteRig(): Promise<SqliteRig> {
  const folder = await mkdtemp(join(tmpdir(), 'spool-'));
  const path = join(folder, 'var', 'spool.sqlite');
  const spools: Spool[] = [];
  const defaults: SqliteSpoolDeps = {
    clock: systemClock,
    events: createEventBus(),
    timers: systemTimers,
    onFailed: () => undefined,
    entry: new URL('./spool-thread.mjs', import.meta.url),
  };

  function make(deps: Partial<SqliteSpoolDeps> = {}, config: Partial<SpoolConfig> = {}): Spool {
    const spool = createSqliteSpool(makeConfig(path, config), { ...defaults, ...deps });
    spools.push(spool);
    return spool;
  }

  async function started(deps?: Partial<SqliteSpoolDeps>, config?: Partial<SpoolConfig>): Promise<Spool> {
    const spool = make(deps, config);
    await spool.start();
    return spool;
  }

  return {
    folder,
    path,
    make,
    started,
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled(spools.map((spool) => spool.stop()));
      await rm(folder, { recursive: true });
    },
  };
}
