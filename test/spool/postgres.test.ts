import { afterAll, beforeAll } from 'vitest';
import { keepsTheSpoolsPromises } from '../conformance/spool.ts';
import { createPostgresRig, type PostgresRig } from './postgres-rig.ts';

let rig: PostgresRig;
beforeAll(async () => {
  rig = await createPostgresRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

keepsTheSpoolsPromises('postgres', async (deps) => rig.make(deps));
