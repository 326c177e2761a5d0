import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { GatedServer } from '../conformance/gate.ts';
import { startEjabberd } from './ejabberd.ts';
import { compile, tapFolder, tapSources } from './ejabberd-tap.ts';
import { requirePackage } from './packages.ts';

/** ejabberd with our modules, compiled once per test file, for the conformance suite of gates. */
export async function ejabberdGate(): Promise<GatedServer> {
  const isHere = await requirePackage('ejabberd', '/usr/sbin/ejabberdctl');
  const compiled = await mkdtemp(join(tmpdir(), 'ejabberd-gate-'));
  afterAll(() => rm(compiled, { recursive: true, force: true }));
  if (isHere) await compile(join(tapFolder, tapSources), compiled);

  return {
    name: 'ejabberd',
    isHere,
    start: ({ url, token, timeoutMs = 20_000, onFailure, rooms }) =>
      startEjabberd({
        codePaths: [compiled],
        serviceLog: false,
        modules: {
          mod_event_pusher_tap: { component: 'pusher.localhost' },
          mod_event_pusher_gate: { url, token, timeout: timeoutMs / 1000, on_failure: onFailure },
        },
        ...(rooms === undefined ? {} : { rooms }),
      }),
  };
}
