import { afterAll, beforeAll, describe } from 'vitest';
import { keepsTheSpoolsPromises } from '../conformance/spool.ts';
import { hasPostgres } from '../support/postgres.ts';
import { createPostgresRig, type PostgresRig } from './postgres-rig.ts';

describe.skipIf(!(await hasPostgres()))('on a server', () => {
  let rig: PostgresRig;
  beforeAll(async () => {
    rig = await createPostgresRig();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  keepsTheSpoolsPromises('postgres', async (deps) => rig.make(deps));
});
