import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startChild } from './start-child.ts';

const project = resolve(fileURLToPath(import.meta.url), '../../..');

/** A machine with Debian's packages in the installed state, in separate namespaces: its commands cannot harm the host. */
export interface FreshMachine {
  /** Folders that are copied to it, where it may change them. */
  readonly copies: readonly string[];
  /** Folders that are empty on it, by the account that owns them. */
  readonly empty: Readonly<Record<string, string>>;
  /** Replacements of system commands that are not available on it, such as systemd, by name. */
  readonly commands: Readonly<Record<string, string>>;
}

/** Whether this machine can start one: this requires root, and (in a container) the permission to create namespaces. */
export async function canStartMachines(): Promise<boolean> {
  return (await runOnFreshMachine({ copies: [], empty: {}, commands: {} }, 'true')).code === 0;
}

/**
 * Runs a script of bash as root on it until it ends or has hung, then ends all its processes and returns its result. It has its
 * own network with only loopback, so that every port is free, and cannot install packages: `npm` treats this checkout as
 * installed, and `event-pusher` is its build. `$FOLDER` is a separate folder.
 */
export async function runOnFreshMachine(
  { copies, empty, commands }: FreshMachine,
  script: string,
): Promise<{ readonly code: number | null; readonly said: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'machine-'));
  const shown = {
    sudo: 'exec "$@"',
    npm: `case "$*" in "root --global") echo ${join(folder, 'global')};; ci|install*|pack*) ;; *) echo "npm $*: not here" >&2; exit 1;; esac`,
    'event-pusher': `exec ${process.execPath} ${project}/dist/src/cli/main.js "$@"`,
    ...commands,
  };
  const lines = [
    'set -eux',
    'ip link set lo up',
    `FOLDER=${folder}`,
    'mkdir "$FOLDER/bin" "$FOLDER/global" "$FOLDER/copies"',
    `ln -s ${project} "$FOLDER/global/xmpp-event-pusher"`,
    ...copies.map((path, index) => `cp -a ${path} "$FOLDER/copies/${index}"; mount --bind "$FOLDER/copies/${index}" ${path}`),
    ...Object.entries(empty).map(([path, owner]) => `mkdir -p ${path}; mount -t tmpfs -o uid=${owner},gid=${owner} tmpfs ${path}`),
    ...Object.keys(shown).map((name) => `cp "$FOLDER/command-${name}" "$FOLDER/bin/${name}"; chmod +x "$FOLDER/bin/${name}"`),
    'export PATH="$FOLDER/bin:$PATH"',
    'cd "$FOLDER"',
    script,
  ];
  try {
    for (const [name, body] of Object.entries(shown)) await writeFile(join(folder, `command-${name}`), `#!/bin/sh\n${body}\n`);
    const machine = startChild('timeout', [
      '150',
      'unshare',
      '--mount',
      '--net',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'bash',
      '-c',
      lines.join('\n'),
    ]);
    const [out, errors, [code]] = await Promise.all([text(machine.stdout), text(machine.stderr), once(machine, 'close')]);
    return { code, said: out + errors };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
