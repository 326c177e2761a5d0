/** The commands about pools, orphans and tests, and what they say when they find no service. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { writeConfig } from '../config/write-config.ts';
import { runCli } from '../support/run-cli.ts';
import { startChild } from '../support/start-child.ts';
import { freePort } from '../support/target.ts';
import { inUtc, startOperated } from './operate.ts';

const builtMain = resolve(fileURLToPath(import.meta.url), '../../../dist/src/cli/main.js');

describe('pools', () => {
  test('are listed with their handlers', async () => {
    inUtc();
    const { operate } = await startOperated();
    expect((await operate('pools', 'list')).stdout).toBe(`\
POOL  STATE    BUSY     WAITING  DEAD  OLDEST               SUCCESS  ORIGIN
pool  sending  3 of 10       12     1  2023-11-14 22:13:20  -        http://127.0.0.1:8000

HANDLER  POOL  WAITING  DEAD  STATE                                    SUCCESS  LAST ERROR
push     pool       12     1  asked to wait until 2023-11-14 22:13:21  -        -
`);
    expect(JSON.parse((await operate('pools', 'list', '--json')).stdout)).toMatchObject([{ name: 'pool', handlers: [{ name: 'push' }] }]);
  });

  test.each([
    [37 * 60_000, 'At the current rate the spool will be full in 37 min; intake then stops.'],
    [5.5 * 3_600_000, 'At the current rate the spool will be full in 5 h; intake then stops.'],
    [12 * 86_400_000, 'At the current rate the spool will be full in 12 days; intake then stops.'],
    [0, 'The spool is full; intake is stopped. /readyz gives the reason.'],
  ])('are listed with the time until the spool is full (%i ms)', async (spoolFullInMs, line) => {
    const { operate, operations } = await startOperated();
    operations.spoolFullInMs = spoolFullInMs;
    expect((await operate('pools', 'list')).stdout.endsWith(`\n\n${line}\n`)).toBe(true);
    expect(JSON.parse((await operate('pools', 'list', '--json')).stdout)).toMatchObject([{ spoolFullInSeconds: spoolFullInMs / 1000 }]);
  });

  test('are paused and resumed', async () => {
    const { operate, operations } = await startOperated();
    expect(await operate('pools', 'pause', 'pool')).toMatchObject({ code: 0, stdout: 'Pool pool is paused; its deliveries are kept.\n' });
    expect([...operations.paused]).toEqual(['pool']);
    expect((await operate('pools', 'list')).stdout).toContain('pool  paused');
    expect(JSON.parse((await operate('pools', 'resume', 'pool', '--json')).stdout)).toEqual({ pool: 'pool', paused: false });
    expect(operations.paused.size).toBe(0);
  });

  test('that do not exist give an error with the known names', async () => {
    const { operate } = await startOperated();
    for (const name of ['other', 'other/push']) {
      const stderr = 'event-pusher: there is no pool "other"; there are: pool\n';
      expect(await operate('pools', 'pause', name)).toMatchObject({ code: 1, stderr });
    }
    for (const name of ['pool/', '/push'])
      expect((await operate('pools', 'pause', name)).stderr).toContain(`expected POOL or POOL/HANDLER, received "${name}"`);
  });

  test('pause and resume one of their handlers', async () => {
    const { operate } = await startOperated();
    const { stdout } = await operate('pools', 'pause', 'pool/push');
    expect(stdout).toBe('Handler push on pool pool is paused; its deliveries are kept.\n');
    expect((await operate('pools', 'list')).stdout).toMatch(/^pool +sending .*^push +pool .* paused/ms);
    expect(JSON.parse((await operate('pools', 'list', '--json')).stdout)).toMatchObject([{ paused: false, handlers: [{ paused: true }] }]);
    const resumed = JSON.parse((await operate('pools', 'resume', 'pool/push', '--json')).stdout);
    expect(resumed).toEqual({ pool: 'pool', handler: 'push', paused: false });
  });
});

describe('orphans', () => {
  test('are listed and moved', async () => {
    const { operate } = await startOperated();
    expect((await operate('orphans', 'list')).stdout).toBe('POOL  HANDLER  WAITING\npool  gone           7\n');
    const moved = await operate('orphans', 'move', '--pool', 'pool', '--handler', 'gone', '--to-handler', 'push');
    expect(moved).toMatchObject({ code: 0, stdout: '7 deliveries moved to handler push on pool pool.\n' });
    expect((await operate('orphans', 'list')).stdout).toBe('No orphans.\n');
  });

  test('are purged with --yes', async () => {
    const { operate, operations } = await startOperated();
    const queue = ['--pool', 'pool', '--handler', 'gone'];
    expect(await operate('orphans', 'purge', ...queue)).toMatchObject({ code: 2, stderr: expect.stringContaining('add --yes') });
    expect(operations.orphaned).toHaveLength(1);
    expect(JSON.parse((await operate('orphans', 'purge', ...queue, '--yes', '--json')).stdout)).toEqual({ count: 7 });
    expect(operations.orphaned).toEqual([]);
  });

  test.each([
    [['purge', '--pool', 'pool', '--yes'], 'missing --pool and --handler'],
    [['move', '--pool', 'pool', '--handler', 'gone'], 'missing destination'],
  ])('%j is wrong usage', async (args, wrong) => {
    const { operate } = await startOperated();
    expect(await operate('orphans', ...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(wrong) });
  });
});

describe('send-test', () => {
  test('prints the answer', async () => {
    const { operate } = await startOperated();
    expect(await operate('send-test', 'push')).toEqual({
      code: 0,
      stdout: `\
request   POST http://127.0.0.1:8000/notifications
id        test-1
outcome   answered 204 in 12 ms
accepted  yes
`,
      stderr: '',
    });
  });

  test('fails if the backend does not accept, or for an unknown handler', async () => {
    const { operate, operations } = await startOperated();
    const outcome = { kind: 'unreachable', code: 'ECONNREFUSED', message: 'nobody listens', durationMs: 1.4 } as const;
    operations.report = { ...operations.report, accepted: false, reason: 'unreachable: ECONNREFUSED', outcome };
    const refused = await operate('send-test', 'push');
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain('not reached (ECONNREFUSED) after 1 ms: nobody listens\naccepted  no: unreachable: ECONNREFUSED\n');
    expect(await operate('send-test', 'nobody')).toMatchObject({
      code: 1,
      stderr: 'event-pusher: there is no handler "nobody"; there are: push\n',
    });
  });
});

test.each([[['--help']], [['pools', 'list']], [['pools', 'list', '--watch']], [['pools', 'pause', 'pool']]])(
  '%j succeeds without a reader of its output',
  async (args) => {
    const { url, operations } = await startOperated();
    const child = startChild(process.execPath, [builtMain, ...args, ...(args.length === 1 ? [] : ['--url', url])]);
    child.stdout.destroy();
    const [stderr, end] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    expect([stderr, ...end]).toEqual(['', 0, null]);
    expect(operations.paused.size).toBe(args.includes('pause') ? 1 : 0);
  },
);

describe('a service', () => {
  test('that listens on all addresses is called on loopback, with the token of its file', async () => {
    const { operate } = await startOperated({ host: '0.0.0.0', token: 'sesame' });
    expect((await operate('pools', 'list')).code).toBe(0);
    expect(await operate('pools', 'list', '--token', 'wrong')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('give it with --token'),
    });
  });

  test('that does not run gives an error with a remedy', async () => {
    const port = await freePort();
    const config = await writeConfig(`[admin]\nlisten = "127.0.0.1:${port}"`);
    const { code, stdout, stderr } = await runCli(['pools', 'list', '--config', config]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`no service answers at http://127.0.0.1:${port}`);
    expect(stderr).toContain('event-pusher run');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('is distinguished from other HTTP servers', async () => {
    const other = createServer((_, answer) => answer.end('<html>')).listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await runCli(['pools', 'list', '--url', `http://127.0.0.1:${port}/`]);
    expect([code, stderr]).toEqual([1, `event-pusher: the server at http://127.0.0.1:${port} is not an event-pusher of this version\n`]);
  });

  test.each([
    [['--url', 'localhost:9464'], '--url: received "localhost:9464"'],
    [['--url', 'not a url'], '--url'],
  ])('is not called at the invalid URL %j', async (args, wrong) => {
    expect(await runCli(['pools', 'list', ...args])).toMatchObject({ code: 2, stderr: expect.stringContaining(wrong) });
  });

  test('on a random port is not called', async () => {
    const config = await writeConfig('[admin]\nlisten = "127.0.0.1:0"');
    expect(await runCli(['pools', 'list', '--config', config])).toMatchObject({ code: 2, stderr: expect.stringContaining('give --url') });
  });
});
