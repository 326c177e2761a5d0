import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(process.env['DEBIAN_PACKAGE'] === '1' ? [] : ['test/deploy/debian.test.ts'])],
    // Worker threads and child processes of the tests must understand TypeScript too.
    execArgv: ['--import', 'tsx'],
    pool: 'forks',
    maxWorkers: 2,
    // They bound a hang: a wait inside of a test gives up first, and says for what it waited.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
