import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';
import { requirePackage } from './packages.ts';
import { startChild } from './start-child.ts';

const run = promisify(execFile);

/** Hierarchies of control groups that a systemd of Debian 12 uses, where both versions are mounted. */
const hierarchies = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'];

/** Whether this machine can start another: as root, with systemd, and with both versions of control groups. */
export async function canStartSystemd(): Promise<boolean> {
  return (
    process.getuid?.() === 0 && hierarchies.every((path) => existsSync(path)) && (await requirePackage('systemd', '/lib/systemd/systemd'))
  );
}

/** A machine whose first process is a systemd. */
export interface SystemdMachine extends AsyncDisposable {
  /** Runs a script of bash as root on it, and returns its output. Rejects if the script fails. */
  run(script: string): Promise<string>;
}

/**
 * Starts a copy of this machine, with these Debian packages installed, in separate namespaces. What it writes or deletes is kept in memory: its
 * root is an overlay of the root of this one, which systemd would otherwise treat as its own and clean up at boot. It has its own network
 * with only loopback, and none of the services of this machine.
 */
export async function startSystemdMachine(packages: readonly string[]): Promise<SystemdMachine> {
  const folder = await mkdtemp(join(tmpdir(), 'systemd-'));
  const group = basename(folder);
  await mkdir(join(folder, 'packages'));
  for (const file of packages) await copyFile(file, join(folder, 'packages', basename(file)));
  for (const hierarchy of hierarchies) await mkdir(join(hierarchy, group));

  const unshare = 'unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child bash -c "$1" boot';
  const enter = hierarchies.map((hierarchy) => `echo $$ >${hierarchy}/${group}/cgroup.procs`).join('; ');
  const machine = startChild('bash', ['-c', `set -eu; ${enter}; exec ${unshare}`, 'enter', bootScript(folder)]);
  const complaint = text(machine.stderr);
  const first = () => firstChildOf(machine.pid ?? 0);

  const inside = async (script: string) => {
    const { stdout, stderr } = await run('nsenter', ['--target', await first(), '--all', 'bash', '-c', script], { encoding: 'utf8' });
    return stdout + stderr;
  };
  const dispose = async () => {
    machine.kill('SIGKILL');
    await complaint;
    for (const hierarchy of hierarchies) await eventually(() => removeGroup(join(hierarchy, group)));
    await rm(folder, { recursive: true });
  };
  try {
    await eventually(async () => {
      if (machine.exitCode !== null) throw new Error(await complaint);
      return /^(running|degraded)$/m.test(await inside('systemctl is-system-running || true'));
    });
  } catch (thrown) {
    await dispose();
    throw thrown;
  }
  return { run: inside, [Symbol.asyncDispose]: dispose };
}

/** Nothing outside the folder is mounted on, and the old root is left behind before the first program of the machine runs. */
function bootScript(folder: string): string {
  const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
  const units = ['systemd-udevd.service', 'systemd-udev-trigger.service', 'systemd-udevd-control.socket', 'systemd-udevd-kernel.socket'];
  return [
    'set -eu',
    'ip link set lo up',
    `mkdir ${folder}/machine; mount -t tmpfs -o size=4g tmpfs ${folder}/machine; cd ${folder}/machine`,
    'mkdir upper work root',
    'mount -t overlay -o lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work overlay root; cd root',
    'mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t tmpfs tmpfs sys/fs/cgroup; mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified',
    'mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd; mount -t cgroup2 cgroup2 sys/fs/cgroup/unified',
    'for each in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $each; done; chmod 1777 tmp',
    `for each in ${devices.join(' ')}; do touch dev/$each; mount --bind /dev/$each dev/$each; done`,
    'mkdir dev/pts dev/shm .old; mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; ln -s pts/ptmx dev/ptmx',
    'rm -rf etc/systemd/system/*.wants var/log/journal',
    ...units.map((unit) => `ln -sf /dev/null etc/systemd/system/${unit}`),
    `cp ${folder}/packages/*.deb .; pivot_root . .old; umount -l /.old; cd /`,
    'dpkg --no-triggers --install /*.deb >&2',
    'exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target --show-status=0 2>/dev/null',
  ].join('\n');
}

async function firstChildOf(pid: number): Promise<string> {
  const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ');
  if (child === undefined || child === '') throw new Error('the machine has not started');
  return child;
}

/** A group is removed like an empty folder; its files belong to the kernel. */
async function removeGroup(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) if (entry.isDirectory()) await removeGroup(join(path, entry.name));
  await rmdir(path);
}
