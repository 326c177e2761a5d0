import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import type { TappedServer, TapServer, TapSettings } from '../conformance/tap.ts';
import { type Ejabberd, type EjabberdOptions, startEjabberd } from './ejabberd.ts';
import { eventually } from './eventually.ts';
import { requirePackage } from './packages.ts';
import { registerAccount } from './xmpp-user.ts';

/** The folder that a user copies, and its files as named for the compiler in its README. */
export const tapFolder = fileURLToPath(new URL('../../plugins/ejabberd', import.meta.url));
export const tapSources = 'src/*.erl';
const troublePath = fileURLToPath(new URL('../fixtures/ejabberd/mod_tap_trouble.erl', import.meta.url));

/** ejabberd with our module, for the conformance suite of taps and for the tests of its additional features. */
export interface EjabberdTap extends TapServer {
  startWith(options?: TappedEjabberdOptions): Promise<TappedEjabberd>;
}

export interface TappedEjabberd extends Omit<Ejabberd, 'reconfigure'> {
  /** Changes the options of the module at runtime. */
  reconfigure(options: TapOptions): Promise<void>;
  /** Resolves when it has detected the loss of this user's connection, with the session in the resumption timeout. */
  lostUser(jid: string): Promise<void>;
}

export type TapOptions = Pick<TapSettings, 'disk' | 'frozenSeconds' | 'maxMembers' | 'queueBytes' | 'window'> & {
  readonly component?: string;
  readonly queueItems?: number;
};

export interface TappedEjabberdOptions extends TapSettings, Omit<TapOptions, 'component'>, Pick<EjabberdOptions, 'modules' | 'node'> {}

/** Compiles the module once, as documented in its README; the compiled files are removed at the end of the test file. */
export async function ejabberdTap(): Promise<EjabberdTap> {
  const isHere = await requirePackage('ejabberd', '/usr/sbin/ejabberdctl');
  const compiled = await mkdtemp(join(tmpdir(), 'ejabberd-tap-'));
  afterAll(() => rm(compiled, { recursive: true, force: true }));
  if (isHere) await compile(`${join(tapFolder, tapSources)} ${troublePath}`, compiled);

  async function startWith(options: TappedEjabberdOptions = {}): Promise<TappedEjabberd> {
    const { accounts = false, archive = true, otherComponent, resumptionSeconds, modules = {}, ...rest } = options;
    const archives = archive ? {} : { mod_mam: { default: 'never' } };
    const streams = resumptionSeconds === undefined ? {} : { mod_stream_mgmt: { resume_timeout: resumptionSeconds } };
    const registration = accounts ? { mod_register: { ip_access: 'all' } } : {};
    const withTap = (tap: TapOptions) => ({
      mod_event_pusher_tap: moduleOptions(tap),
      ...archives,
      ...streams,
      ...registration,
      ...modules,
    });
    const ejabberd = await startEjabberd({
      ...rest,
      otherComponents: otherComponent === undefined ? [] : [otherComponent],
      serviceLog: false,
      modules: withTap(options),
      codePaths: [compiled],
      ...(accounts ? { config: { registration_timeout: 'infinity' } } : {}),
    });
    return {
      ...ejabberd,
      reconfigure: (tap) => ejabberd.reconfigure(withTap(tap)),
      lostUser: async (jid) => {
        await eventually(() => ejabberd.logs().includes(`Closing c2s connection for ${jid}`));
        const [user = '', host = ''] = jid.split(/[@/]/);
        await ejabberd.api('get_presence', { user, server: host }); // a request to the session, which has ended afterwards
      },
    };
  }

  return {
    name: 'ejabberd',
    isHere,
    messageBytes: 2640,
    start: async (settings) => asAnyServer(await startWith(settings)),
    startWith,
  };
}

/** Options that disturb the process of the queue; the fixture documents them. */
export function inTrouble(
  kind: 'busy' | 'crashing' | 'diskless' | 'killing' | 'silenced' | 'stalled' | 'unreachable' | 'writerless',
): Pick<TappedEjabberdOptions, 'modules'> {
  return { modules: { mod_tap_trouble: { kind } } };
}

/** JSON has no undefined values, so missing options are not written. */
function moduleOptions({
  component = 'pusher.localhost',
  disk,
  frozenSeconds,
  maxMembers,
  queueBytes,
  queueItems,
  window,
}: TapOptions): Readonly<Record<string, unknown>> {
  return {
    component,
    disk,
    frozen_after: frozenSeconds,
    max_members: maxMembers,
    queue_bytes: queueBytes,
    queue_items: queueItems,
    window,
  };
}

/** Runs the documented compiler commands for our modules; they write the compiled files to the working directory. */
export async function compile(sources: string, into: string): Promise<void> {
  const readme = await readFile(join(tapFolder, 'README.md'), 'utf8');
  const lines = /```sh\n([^`]*\nerlc [^`]*)```/.exec(readme)?.[1];
  if (lines === undefined) throw new Error('the README of the module for ejabberd no longer contains the compiler commands');
  await promisify(execFile)('sh', ['-ec', lines.replace(tapSources, sources)], { cwd: into });
}

function asAnyServer(ejabberd: TappedEjabberd): TappedServer {
  return {
    ...ejabberd,
    loadAnew: async () => void (await ejabberd.api('restart_module', { host: 'localhost', module: 'mod_event_pusher_tap' })),
    announce: async (to, body) => void (await ejabberd.api('send_message', { type: 'normal', from: 'localhost', to, subject: '', body })),
    register: (user) => registerAccount(user, ejabberd.c2sPort),
    lostComponent: () => eventually(() => ejabberd.logs().includes('The event pusher of localhost has gone')),
  };
}
