import { createMemorySpool } from '../../src/spool/open.ts';
import { keepsTheSpoolsPromises } from '../conformance/spool.ts';

keepsTheSpoolsPromises('memory', async (deps) => createMemorySpool(deps));
