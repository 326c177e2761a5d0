import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import { History } from '../../src/spool/history/history.ts';
import { runTask } from '../../src/spool/history/task.ts';
import { erasesAUser } from '../conformance/erasure.ts';
import { keepsAHistory } from '../conformance/history.ts';
import { keepsTheSpoolsPromises } from '../conformance/spool.ts';
import { hasPostgres } from '../support/postgres.ts';
import { createPostgresRig, type PostgresRig } from './postgres-rig.ts';

describe.skipIf(!(await hasPostgres()))('on a server', () => {
  let rig: PostgresRig;
  beforeAll(async () => {
    rig = await createPostgresRig();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  describe('an erasure', () => erasesAUser(async () => rig.make()));
  describe('a history', () => {
    keepsAHistory(async () => {
      const schema = `history_${randomUUID().slice(0, 8)}`;
      return {
        start: ({ now = systemClock.now, maxAgeMs = 3_600_000, maxBytes = 100_000_000 }, journal) =>
          rig.started({ clock: { ...systemClock, now }, journal: { ...journal, settings: { maxAgeMs, maxBytes } } }, { schema }),
        history: () => {
          const postgres = { url: new Secret(rig.server.url()), schema };
          return new History({ path: '/nonexistent', postgres }, { clock: systemClock, run: (task) => runTask(task, systemClock) });
        },
      };
    });
  });
  keepsTheSpoolsPromises('postgres', async (deps) => rig.make(deps));
});
