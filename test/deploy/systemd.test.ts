/** The unit of deploy/systemd, as systemd reads it. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { serviceSchema } from '../../src/config/service.ts';
import { readPage } from '../support/guide.ts';
import { requirePackage } from '../support/packages.ts';

const unitFile = fileURLToPath(new URL('../../deploy/systemd/event-pusher.service', import.meta.url));
const unit = await readFile(unitFile, 'utf8');

test('it stops later than drain_timeout', () => {
  const [, seconds = ''] = /^TimeoutStopSec=(\d+)s$/m.exec(unit) ?? [];
  expect(Number(seconds) * 1000).toBeGreaterThan(serviceSchema.parse({}).drain_timeout);
});

describe.skipIf(!(await requirePackage('systemd', '/usr/bin/systemd-analyze')))('with systemd-analyze', () => {
  test('the unit is verified without a remark', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'unit-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    // The command is not installed here.
    const file = join(folder, 'event-pusher.service');
    await writeFile(file, unit.replace('ExecStart=/usr/bin/event-pusher', 'ExecStart=/usr/bin/true'));
    const { status, stdout, stderr } = analyze('verify', file);
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
  });

  test('its exposure is the one that the page states', () => {
    const { stdout } = analyze('security', '--offline=true', unitFile);
    const [, exposure = ''] = /Overall exposure level for event-pusher\.service: ([\d.]+) OK/.exec(stdout) ?? [];
    expect(readPage('docs/guides/operating.md').text).toContain(`\`systemd-analyze security\`: ${exposure}`);
  });
});

function analyze(...args: readonly string[]) {
  return spawnSync('systemd-analyze', ['--no-pager', ...args], { encoding: 'utf8' });
}
