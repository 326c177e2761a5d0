import { execFile } from 'node:child_process';
import { access, constants, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian asks this program before it starts a service; 101 means "don't". */
const policyPath = '/usr/sbin/policy-rc.d';

/**
 * Whether a program of a Debian package can be used here. It is installed if it is missing and we are root, without
 * its service being started or enabled. A test that needs it is skipped when this is false:
 * `describe.skipIf(!(await requirePackage('prosody')))`. Where `CI` is `true` nothing is skipped: this throws.
 */
export async function requirePackage(name: string, program = `/usr/bin/${name}`): Promise<boolean> {
  if (await isThere(program)) return true;
  const problem = await install(name);
  if (await isThere(program)) return true;
  if (process.env['CI'] === 'true') throw new Error(`${program} is needed and could not be installed: ${problem}`);
  return false;
}

/** Whether the files of a package are as it brought them, its configuration included. */
export async function isUnchanged(name: string): Promise<boolean> {
  try {
    return (await run('dpkg', ['--verify', name])).stdout === '';
  } catch {
    return false; // no Debian, or a file is missing
  }
}

/** Installs without starting anything; gives what went wrong, empty when nothing did. */
async function install(name: string): Promise<string> {
  if (process.getuid?.() !== 0) return `only root can install the package ${name}`;
  const guarded = await forbidStarts();
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    const get = (...args: readonly string[]) => run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { env });
    const install = ['install', '-y', '--no-install-recommends', name];
    await get(...install).catch(async () => {
      await get('update'); // a new machine knows no packages, or old ones
      await get(...install);
    });
    await run('update-rc.d', [name, 'disable']).catch(() => undefined); // not every package has a service
    return '';
  } catch (error) {
    return String(error);
  } finally {
    if (guarded) await rm(policyPath, { force: true });
  }
}

/** False when there is a policy already, which is the machine's own and stays. */
async function forbidStarts(): Promise<boolean> {
  try {
    await writeFile(policyPath, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 });
    return true;
  } catch {
    return false; // it exists, or cannot be written; apt says the rest
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
