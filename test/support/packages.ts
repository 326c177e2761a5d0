import { execFile } from 'node:child_process';
import { access, constants, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian calls this program before it starts a service; exit code 101 forbids the start. */
const policyPath = '/usr/sbin/policy-rc.d';

/**
 * Whether a program of a Debian package is available. If it is missing and we are root, the package is installed without
 * starting or enabling its service. A test that needs it is skipped if this is false: `describe.skipIf(!(await
 * requirePackage('prosody')))`. With `CI=true` nothing is skipped: this throws.
 */
export async function requirePackage(name: string, program = `/usr/bin/${name}`, service = name): Promise<boolean> {
  if (await isThere(program)) return true;
  const problem = await install(name, service);
  if (await isThere(program)) return true;
  if (process.env['CI'] === 'true') throw new Error(`${program} is needed and could not be installed: ${problem}`);
  return false;
}

/** Whether the files of a package, including its configuration, are unchanged. */
export async function isUnchanged(name: string): Promise<boolean> {
  try {
    return (await run('dpkg', ['--verify', name])).stdout === '';
  } catch {
    return false; // not Debian, or a file is missing
  }
}

/** Installs without starting a service; returns the error message, empty on success. */
async function install(name: string, service: string): Promise<string> {
  if (process.getuid?.() !== 0) return `only root can install the package ${name}`;
  const guarded = await forbidStarts();
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    const get = (...args: readonly string[]) => run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { env });
    const install = ['install', '-y', '--no-install-recommends', name];
    await get(...install).catch(async () => {
      await get('update'); // the package lists of a new machine are missing or old
      await get(...install);
    });
    await run('update-rc.d', [service, 'disable']).catch(() => undefined); // not every package has a service
    return '';
  } catch (error) {
    return String(error);
  } finally {
    if (guarded) await rm(policyPath, { force: true });
  }
}

/** False if there is already a policy; it belongs to the machine and stays. */
async function forbidStarts(): Promise<boolean> {
  try {
    await writeFile(policyPath, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 });
    return true;
  } catch {
    return false; // it exists, or cannot be written; apt reports any problem
  }
}

async function isThere(program: string): Promise<boolean> {
  try {
    await access(program, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
