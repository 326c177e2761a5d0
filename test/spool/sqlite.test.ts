import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { keepsTheSpoolsPromises } from '../conformance/spool.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';

let rig: SqliteRig;
let made = 0;
beforeAll(async () => {
  rig = await createSqliteRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

keepsTheSpoolsPromises('sqlite', async (deps) => {
  made += 1;
  return rig.make(deps, { path: join(rig.folder, `spool-${made}`, 'spool.sqlite') });
});
