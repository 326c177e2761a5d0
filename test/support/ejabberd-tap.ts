import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TappedServer, TapServer, TapSettings } from '../conformance/tap.ts';
import { type Ejabberd, type EjabberdOptions, startEjabberd } from './ejabberd.ts';
import { eventually } from './eventually.ts';
import { requirePackage } from './packages.ts';

/** The folder that a user copies. */
export const tapFolder = fileURLToPath(new URL('../../plugins/ejabberd', import.meta.url));

/** ejabberd with our module, for the suite that every tap has to pass. */
export async function ejabberdTap(): Promise<TapServer> {
  const isHere = await requirePackage('ejabberd', '/usr/sbin/ejabberdctl');
  return { name: 'ejabberd', isHere, messageBytes: 2700, start };
}

/** An ejabberd whose virtual hosts load the module, compiled as its README says. */
export async function startTappedEjabberd(
  settings: TapSettings & Pick<EjabberdOptions, 'codePaths' | 'config' | 'modules'> = {},
): Promise<Ejabberd> {
  const { hosts, rooms, otherComponent, queueBytes, window, modules = {}, codePaths = [], ...options } = settings;
  const compiled = await compileTap();
  const ejabberd = await startEjabberd({
    ...options,
    ...(hosts === undefined ? {} : { hosts }),
    ...(rooms === undefined ? {} : { rooms }),
    ...(otherComponent === undefined ? {} : { otherComponents: [otherComponent] }),
    serviceLog: false,
    modules: {
      mod_event_pusher_tap: {
        component: 'pusher.localhost',
        ...(queueBytes === undefined ? {} : { queue_bytes: queueBytes }),
        ...(window === undefined ? {} : { window }),
      },
      ...modules,
    },
    codePaths: [...codePaths, compiled],
  });
  return {
    ...ejabberd,
    [Symbol.asyncDispose]: async () => {
      await ejabberd[Symbol.asyncDispose]();
      await rm(compiled, { recursive: true, force: true });
    },
  };
}

/** Compiles the module with the line that its README gives, and gives the folder that it is in. */
async function compileTap(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ejabberd-tap-'));
  const lines = [
    'set -e',
    'EJABBERD=$(dirname "$(dirname "$(dpkg -L ejabberd | grep /ebin/ejabberd.beam)")")',
    'XMPP=$(dirname "$(dpkg -L erlang-p1-xmpp | grep /include/xmpp.hrl)")',
    'erlc -I "$EJABBERD/include" -I "$XMPP" -pa "$EJABBERD/ebin" -o "$1" src/mod_event_pusher_tap.erl',
  ];
  await promisify(execFile)('sh', ['-c', lines.join('\n'), 'sh', folder], { cwd: tapFolder });
  return folder;
}

async function start(settings: TapSettings = {}): Promise<TappedServer> {
  const ejabberd = await startTappedEjabberd(settings);

  function logged(text: string): Promise<void> {
    return eventually(() => ejabberd.logs().includes(text));
  }

  return {
    ...ejabberd,
    loadAnew: async () => void (await ejabberd.api('restart_module', { host: 'localhost', module: 'mod_event_pusher_tap' })),
    announce: async (to, body) => void (await ejabberd.api('send_message', { type: 'normal', from: 'localhost', to, subject: '', body })),
    missesComponent: () => logged('The event pusher of localhost has gone'),
    missesUser: async (jid) => {
      await logged(`Closing c2s connection for ${jid}`);
      const [user = '', host = ''] = jid.split(/[@/]/);
      await ejabberd.api('get_presence', { user, server: host }); // asks the session, which has then finished
    },
  };
}
