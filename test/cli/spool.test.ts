import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { infoAsJson, infoText } from '../../src/cli/spool.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { createSqliteSpool } from '../../src/spool/open.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { writeConfig } from '../config/write-config.ts';
import { makeConfig, makeDelivery, makeEntry } from '../spool/build.ts';
import { runCli } from '../support/run-cli.ts';
import { appendTo } from '../support/spool-promises.ts';

/** A configuration, and a running spool at its path with one delivery. The attachment's secret cannot be resolved, and need not be. */
async function startSpool() {
  const config = await writeConfig(`
    [spool]
    path = "data/spool.sqlite"
    [attach.chat]
    secret = "\${NO_SUCH_VARIABLE}"`);
  const path = join(dirname(config), 'data', 'spool.sqlite');
  const spool = createSqliteSpool(makeConfig(path), {
    ...{ clock: systemClock, events: createEventBus(), timers: systemTimers, onFailed: () => undefined },
    entry: new URL('../spool/spool-thread.mjs', import.meta.url),
  });
  await spool.start();
  onTestFinished(() => spool.stop());
  await appendTo(spool, makeEntry([makeDelivery({ handler: 'alerts' })]));
  return { config, path, spool };
}

test('shows the content of a running spool as text and JSON', async () => {
  const { config, path } = await startSpool();
  const { code, stdout } = await runCli(['spool', 'info', '--config', config]);
  expect(code).toBe(0);
  for (const word of [path, `process ${process.pid}`, 'alerts', 'WAITING', 'MiB']) expect(stdout).toContain(word);

  const json = await runCli(['spool', 'info', '--json', '--config', config]);
  expect(JSON.parse(json.stdout)).toMatchObject({
    ...{ exists: true, path, holder: process.pid, paused: [], marks: [] },
    queues: [{ pool: 'pool', handler: 'alerts', waiting: 1, dead: 0 }],
    oldest: { pool: '2023-11-14T22:13:20.000Z' },
  });
});

test('copies a running spool once', async () => {
  const { config } = await startSpool();
  const target = join(dirname(config), 'copy.sqlite');
  const first = await runCli(['spool', 'backup', target, '--config', config]);
  expect(first).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(target) });
  const second = await runCli(['spool', 'backup', target, '--config', config]);
  expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('never overwrites') });
  expect(second.stderr).not.toMatch(/^\s+at /m);
});

test('reports an intact spool, and lists the faults of a damaged one', async () => {
  const { config, path, spool } = await startSpool();
  expect(await runCli(['spool', 'check', '--config', config])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('no faults'),
  });
  await spool.stop();
  const vandal = new Database(path);
  vandal.exec('UPDATE depths SET dead = 7');
  vandal.close();

  const { code, stdout } = await runCli(['spool', 'check', '--config', config]);
  expect([code, stdout]).toEqual([1, expect.stringMatching(/- queue pool \/ alerts .*\n {2}no delivery is affected/)]);
  const json = await runCli(['spool', 'check', '--json', '--config', config]);
  expect([json.code, JSON.parse(json.stdout)]).toMatchObject([1, { path, exists: true, faults: [{ what: expect.any(String) }] }]);
});

test('reports that a spool in memory has no file', async () => {
  const config = await writeConfig('[spool]\nengine = "memory"');
  for (const command of ['info', 'check']) {
    expect(await runCli(['spool', command, '--config', config])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('there is no file'),
    });
  }
  const target = join(dirname(config), 'copy.sqlite');
  expect(await runCli(['spool', 'backup', target, '--config', config])).toMatchObject({
    ...{ code: 1, stderr: expect.stringContaining('nothing to back up') },
  });
});

test('reports a missing spool and creates none', async () => {
  const config = await writeConfig('[spool]\npath = "data/spool.sqlite"');
  const { code, stdout } = await runCli(['spool', 'info', '--json', '--config', config]);
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { exists: false }]);
  expect(await runCli(['spool', 'check', '--config', config])).toMatchObject({ code: 0, stdout: expect.stringContaining('no spool at') });
  expect(existsSync(join(dirname(config), 'data'))).toBe(false);
});

const mark = { attachment: 'bot', host: 'localhost', node: 'bob@localhost', epoch: JSON.stringify(['m0', 'm1'.repeat(500)]), h: 7 };
const info = {
  path: 'spool.sqlite',
  bytes: 0,
  version: 2,
  isOld: false,
  holder: null,
  queues: [],
  oldest: new Map(),
  marks: [mark],
  paused: [],
};

test('the mark of an archive is shortened to one line, and complete with --json', () => {
  const line =
    infoText(info)
      .split('\n')
      .find((each) => each.startsWith('mark')) ?? '';
  expect(line).toMatch(/bob@localhost \["m0","(m1)+.*… 7$/);
  expect(line.length).toBeLessThan(130);
  expect(infoAsJson(info)).toMatchObject({ marks: [mark] });
});
