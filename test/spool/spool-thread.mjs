// Node 20 gives a thread none of the loaders of its process: this one learns TypeScript before it runs the spool.
import { register } from 'tsx/esm/api';

register();
await import('../../src/spool/sqlite/spool.worker.ts');
