import type { TappedServer, TapServer, TapSettings } from '../conformance/tap.ts';
import { eventually } from './eventually.ts';
import { requirePackage } from './packages.ts';
import { startProsody } from './prosody.ts';
import { registerAccount } from './xmpp-user.ts';

/** Prosody with our module, for the conformance suite of taps. */
export async function prosodyTap(): Promise<TapServer> {
  return { name: 'Prosody', isHere: await requirePackage('prosody'), messageBytes: 2500, start };
}

async function start({ accounts = false, hosts, rooms, users, ...settings }: TapSettings = {}): Promise<TappedServer> {
  const prosody = await startProsody({
    ...(hosts === undefined ? {} : { hosts }),
    ...(rooms === undefined ? {} : { rooms }),
    ...(users === undefined ? {} : { users }),
    ...(accounts ? { modules: ['register_ibr', 'user_account_management'] } : {}),
    config: configuration({ accounts, ...settings }),
  });
  return {
    ...prosody,
    loadAnew: async () => {
      await prosody.shell('module:unload("event_pusher_tap", "localhost")');
      await prosody.shell('module:load("event_pusher_tap", "localhost")');
    },
    register: (user) => registerAccount(user, prosody.c2sPort),
    announce: async (to, body) => {
      const stanza = `require "util.stanza".message({ from = "localhost", to = "${to}" }, "${body}")`;
      await prosody.shell(`> prosody.core_post_stanza(prosody.hosts.localhost, ${stanza})`);
    },
    letAnotherIn: async () => {
      // A reloaded module has lost its record of the connected component: the only way to have two live connections.
      await prosody.shell('module:reload("component", "pusher.localhost")');
    },
    lostComponent: () => eventually(() => prosody.logs().includes('component disconnected: pusher.localhost')),
    lostUser: (jid) => eventually(() => hasDisconnected(prosody.logs(), jid)),
  };
}

/** Whether a client of this account has been disconnected. Its resumption timeout begins with the line of the log: the shell takes too long. */
function hasDisconnected(log: string, jid: string): boolean {
  const [account = ''] = jid.split('/');
  const sessions = [...log.matchAll(/^(c2s\w+) .*Authenticated as (\S+)/gm)].filter(([, , user]) => user === account);
  return sessions.some(([, id]) => new RegExp(`^${id} .*Client disconnected`, 'm').test(log));
}

function configuration({
  accounts,
  archive = true,
  disk,
  frozenSeconds,
  maxMembers,
  resumptionSeconds,
  otherComponent,
  queueBytes,
  window,
}: TapSettings): string {
  return [
    ...(accounts === true ? ['allow_registration = true'] : []),
    ...(archive ? [] : ['default_archive_policy = false']),
    ...(disk === undefined ? [] : [`event_pusher_tap_disk = ${disk}`]),
    ...(frozenSeconds === undefined ? [] : [`event_pusher_tap_frozen_after = ${frozenSeconds}`]),
    ...(resumptionSeconds === undefined ? [] : [`smacks_hibernation_time = ${resumptionSeconds}`]),
    ...(queueBytes === undefined ? [] : [`event_pusher_tap_queue_bytes = ${queueBytes}`]),
    ...(maxMembers === undefined ? [] : [`event_pusher_tap_max_members = ${maxMembers}`]),
    ...(window === undefined ? [] : [`event_pusher_tap_window = ${window}`]),
    ...(otherComponent === undefined ? [] : [`Component "${otherComponent}"`, '  component_secret = "s3cret"']),
  ].join('\n');
}
