import { afterAll, beforeAll, describe } from 'vitest';
import { erasesAUser } from '../conformance/erasure.ts';
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
  keepsTheSpoolsPromises('postgres', async (deps) => rig.make(deps));
});
