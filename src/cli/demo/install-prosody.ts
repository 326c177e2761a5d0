import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Environment, readEnvironment } from '../../config/environment.ts';
import { startChild, tail } from './child.ts';
import { findProgram } from './find-program.ts';
import type { Scene } from './scene.ts';
import { until } from './until.ts';

/** Debian asks this program before it starts a service; 101 means "don't". */
const policyFile = '/usr/sbin/policy-rc.d';
const serviceScript = '/etc/init.d/prosody';
/** There while systemd starts the service at boot. */
const serviceLink = '/etc/systemd/system/multi-user.target.wants/prosody.service';
const pidFile = '/run/prosody/prosody.pid';

const aptOptions = [
  '-q',
  '-o',
  'Dpkg::Use-Pty=0',
  '-o',
  'DPkg::Lock::Timeout=60',
  '-o',
  'Acquire::http::Timeout=20',
  '-o',
  'Acquire::Retries=1',
];

/**
 * Gets Debian's package of Prosody, says so first, and leaves its service neither running nor enabled. Gives why it
 * could not, or an empty text.
 */
export async function installProsody(scene: Scene): Promise<string> {
  const apt = findProgram('apt-get', readEnvironment());
  if (apt === undefined) return 'Prosody is not installed, and this machine has no apt-get to get it with';
  if (process.getuid?.() !== 0) return 'Prosody is not installed, and only root can install it';

  scene.page.say("Prosody is not installed: getting Debian's package with apt-get; its service will be neither started nor enabled.");
  const allowStarts = forbidStarts(scene);
  const keepServiceOff = watchService(scene);
  const logFile = join(scene.folder, 'apt.log');
  const get = (args: readonly string[]) => runApt({ apt, args, logFile }, scene);
  const install = ['install', '-y', '--no-install-recommends', 'prosody'];
  const isInstalled = (await get(install)) || ((await get(['update'])) && (await get(install)));
  await keepServiceOff();
  allowStarts();
  return isInstalled ? '' : `Prosody is not installed, and apt-get could not get it: ${lastError(logFile)}`;
}

/** A policy that is there already is the machine's own and stays. Gives the way back. */
function forbidStarts({ cleanup }: Scene): () => void {
  let isOurs = false;
  const undo = () => {
    if (isOurs) rmSync(policyFile, { force: true });
    isOurs = false;
  };
  if (!existsSync(policyFile)) {
    writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
    isOurs = true;
  }
  cleanup.add(policyFile, { inOrder: undo, atOnce: undo });
  return undo;
}

/** Runs apt-get and tells what it does; gives whether it did it. */
async function runApt(
  { apt, args, logFile }: { readonly apt: string; readonly args: readonly string[]; readonly logFile: string },
  { page, cleanup, ...patience }: Scene,
): Promise<boolean> {
  const env: Environment = { ...readEnvironment(), DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', NEEDRESTART_SUSPEND: '1' };
  page.row('apt-get', args.filter((arg) => !arg.startsWith('-')).join(' '));
  const newLines = followLines(logFile);
  // SIGINT ends its downloads; what it has begun to unpack it finishes
  const child = startChild(
    { name: 'apt-get', program: apt, args: [...aptOptions, ...args], env, logFile, stopSignal: 'SIGINT', patienceMs: 120_000 },
    cleanup,
  );
  let code: number | null | undefined;
  void child.ended.then((ended) => {
    code = ended;
  });
  const tell = () => {
    for (const line of newLines().filter((line) => /^(Get:|Unpacking|Setting up)/.test(line))) page.row('', line, 'quiet');
    return code !== undefined;
  };
  await until(tell, { problem: () => `apt-get did not end. Its output ends with\n${tail(logFile)}`, withinMs: 300_000, ...patience });
  return code === 0;
}

/** What was written to a file since the last call, in whole lines. */
function followLines(file: string): () => string[] {
  const read = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []);
  let told = read().length;
  return () => {
    const lines = read().slice(told);
    told += lines.length;
    return lines;
  };
}

/** Gives how to keep the package's service off, which is also done when the demo is broken off in the middle. */
function watchService({ page, cleanup }: Scene): () => Promise<void> {
  let isSeenTo = false;
  const keepOff = async () => {
    if (isSeenTo || findProgram('prosody', readEnvironment()) === undefined) return;
    isSeenTo = true;
    if (await turnServiceOff()) page.row('', 'installed; its service is neither running nor enabled', 'good');
    else page.say("The package's service could not be turned off. Please run: systemctl disable --now prosody", 'bad');
  };
  cleanup.add("the service of Prosody's package", { inOrder: keepOff });
  return keepOff;
}

/** Debian enables a service when it installs it, and a policy of the machine's own may have let it start. */
async function turnServiceOff(): Promise<boolean> {
  const isSystemd = existsSync('/run/systemd/system');
  await attempt('systemctl', ['disable', ...(isSystemd ? ['--now'] : []), 'prosody']);
  await attempt('update-rc.d', ['prosody', 'disable']);
  if (!isSystemd) await attempt(serviceScript, ['stop']);

  const isRunning = existsSync(pidFile) && existsSync(`/proc/${readFileSync(pidFile, 'utf8').trim()}`);
  return !isRunning && !existsSync(serviceLink);
}

/** Whether it is there and works does not matter: what counts is looked at afterwards. */
async function attempt(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args, { timeout: 30_000 }).catch(() => undefined);
}

function lastError(logFile: string): string {
  const errors = readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('E: '));
  return errors.at(-1)?.slice(3) ?? 'it does not say why';
}
