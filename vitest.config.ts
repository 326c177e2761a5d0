import { configDefaults, defineConfig } from 'vitest/config';
import { ServersFirst } from './test/support/servers-first.ts';

/** Tests that download Debian packages and take minutes. */
const onRequest = [
  ...(process.env['CONTAINERS'] === '1' ? [] : ['test/deploy/container-run.test.ts']),
  ...(process.env['DEBIAN_PACKAGE'] === '1' ? [] : ['test/deploy/debian.test.ts', 'test/deploy/systemd-run.test.ts']),
];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...onRequest],
    sequence: { sequencer: ServersFirst },
    pool: 'forks',
    maxWorkers: 2,
    // They bound a hang: a wait inside of a test gives up first, and says for what it waited.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
