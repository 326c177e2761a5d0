import type { AccountServer } from '../conformance/account.ts';
import { startEjabberd } from './ejabberd.ts';
import { requirePackage } from './packages.ts';
import { startProsody } from './prosody.ts';

const rooms = 'rooms.localhost';

export async function accountsOnProsody(): Promise<AccountServer> {
  const archives = 'muc_log_by_default = true\nmuc_room_default_persistent = true\nmuc_room_default_history_length = 0';
  return {
    name: 'Prosody',
    isHere: await requirePackage('prosody'),
    start: () => startProsody({ tap: false, rooms, roomModules: ['muc_mam'], config: archives }),
  };
}

export async function accountsOnEjabberd(): Promise<AccountServer> {
  const muc = { hosts: [rooms], history_size: 0, default_room_options: { mam: true, persistent: true } };
  return {
    name: 'ejabberd',
    isHere: await requirePackage('ejabberd', '/usr/sbin/ejabberdctl'),
    start: () => startEjabberd({ serviceLog: false, rooms, modules: { mod_muc: muc } }),
  };
}
