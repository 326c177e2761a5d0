import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startChild } from './start-child.ts';

const project = resolve(fileURLToPath(import.meta.url), '../../..');

/** A machine with Debian's packages as they were installed, in namespaces of its own: what it is told to do harms nothing outside. */
export interface FreshMachine {
  /** Folders that it gets a copy of, to change as it likes. */
  readonly copies: readonly string[];
  /** Folders that are empty there, by the account that owns them. */
  readonly empty: Readonly<Record<string, string>>;
  /** Commands in place of the system's, by name: what cannot be had there, such as systemd. */
  readonly commands: Readonly<Record<string, string>>;
}

/** Whether one can be had here: that takes root, and a machine (a container, perhaps) that lets root make namespaces. */
export async function canStartMachines(): Promise<boolean> {
  return (await runOnFreshMachine({ copies: [], empty: {}, commands: {} }, 'true')).code === 0;
}

/**
 * Runs a script of bash as root there, until it ends or has hung; then all that it started ends, and what it did is told. It has its own network, with nothing
 * but loopback, so that every port is free, and cannot install packages: `npm` knows this checkout as installed, and
 * `event-pusher` is its build. `$FOLDER` is a folder of its own.
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
