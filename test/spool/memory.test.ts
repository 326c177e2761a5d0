import { createMemorySpool } from '../../src/spool/memory/spool.ts';
import { keepsTheSpoolsPromises } from '../conformance/spool.ts';

keepsTheSpoolsPromises('memory', async (deps) => createMemorySpool(deps));
