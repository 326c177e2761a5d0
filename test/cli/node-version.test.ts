import { describe, expect, test } from 'vitest';
import { complaintAboutNode } from '../../src/cli/node-version.ts';
import { runCli } from '../support/run-cli.ts';

const about = (version: string) => complaintAboutNode(version, { required: '>=20.18', program: '/usr/bin/node' });

test.each(['20.18.0', '20.18.1', '20.19.0', '22.0.0', '24.21.3', '100.0.0', '24.0.0-nightly2026'])(
  'Node.js %s can run the service',
  (version) => {
    expect(about(version)).toBeUndefined();
  },
);

test.each(['20.17.9', '20.9.0', '18.20.4', '0.10.48'])('Node.js %s is too old', (version) => {
  expect(about(version)).toMatch(`Node.js ${version} (/usr/bin/node) is too old: 20.18 or newer is required, and 24 is recommended`);
});

describe('the built program', () => {
  const preload = (code: string) => ({ NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(code)}` });

  test('ends at once on an old Node.js, with one line', async () => {
    const old = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } });";
    const { code, stdout, stderr } = await runCli(['--version'], preload(old));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^event-pusher: Node\.js 18\.20\.4 \(.*node\) is too old: .*\n$/);
  });

  test.each(['run', 'check'])('%s ends with one line if better-sqlite3 was built for another Node.js', async (command) => {
    const text = 'The module was compiled against a different Node.js version using\\nNODE_MODULE_VERSION 115.';
    const { code, stderr } = await runCli(
      [command],
      preload(`process.dlopen = () => { throw new Error(${JSON.stringify(text).replaceAll('\\\\n', '\\n')}); };`),
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^event-pusher: the native part of better-sqlite3 cannot be loaded by Node\.js .* \(The module was compiled .*\): install .*\n$/,
    );
  });
});
