import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEjabberd } from '../support/ejabberd.ts';
import { compile, tapFolder, tapSources } from '../support/ejabberd-tap.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { talkers } from './talks.ts';

/** A kind of chat server, measured with and without our modules. It has no archive. */
export interface ChatServer {
  readonly name: string;
  start(modules: OurModules): Promise<Chat>;
}

export interface Chat extends AsyncDisposable {
  readonly c2sPort: number;
  readonly componentPort: number;
  pid(): number;
}

export interface OurModules {
  /** The URL of the gate. A message without a decision is refused. */
  readonly gateUrl?: string;
  readonly tap?: boolean;
}

/** Measures each kind of server installed on this machine. */
export async function onEachServer<T>(measure: (server: ChatServer) => Promise<T>): Promise<readonly T[]> {
  const compiled = await mkdtemp(join(tmpdir(), 'bench-modules-'));
  const measured: T[] = [];
  try {
    if (await requirePackage('prosody')) measured.push(await measure({ name: 'Prosody', start: prosody }));
    if (await requirePackage('ejabberd', '/usr/sbin/ejabberdctl')) {
      await compile(join(tapFolder, tapSources), compiled);
      measured.push(await measure({ name: 'ejabberd', start: (modules) => ejabberd(modules, compiled) }));
    }
    return measured;
  } finally {
    await rm(compiled, { recursive: true, force: true });
  }
}

function prosody({ gateUrl, tap = false }: OurModules): Promise<Chat> {
  const modules = gateUrl === undefined ? [] : ['event_pusher_gate'];
  const config = `default_archive_policy = false\nevent_pusher_gate_on_failure = "refuse"\nevent_pusher_gate_url = "${gateUrl}"`;
  return startProsody({ users: talkers, tap, config, modules });
}

function ejabberd({ gateUrl, tap = false }: OurModules, compiled: string): Promise<Chat> {
  const modules = {
    mod_mam: { default: 'never' },
    ...(gateUrl === undefined ? {} : { mod_event_pusher_gate: { url: gateUrl, on_failure: 'refuse' } }),
    ...(tap ? { mod_event_pusher_tap: {} } : {}),
  };
  return startEjabberd({ users: talkers, serviceLog: false, codePaths: [compiled], modules });
}
