import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const tapSource = fileURLToPath(new URL('../../plugins/ejabberd/src/mod_event_pusher_tap.erl', import.meta.url));

/** Compiles an Erlang module against the installed ejabberd, as plugins/ejabberd/README.md says, and gives the folder it is in. */
export async function compileForEjabberd(source: string = tapSource): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ejabberd-module-'));
  const command = [
    'set -e',
    'EJABBERD=$(dirname "$(dirname "$(dpkg -L ejabberd | grep /ebin/ejabberd.beam)")")',
    'XMPP=$(dirname "$(dpkg -L erlang-p1-xmpp | grep /include/xmpp.hrl)")',
    'erlc -I "$EJABBERD/include" -I "$XMPP" -pa "$EJABBERD/ebin" -o "$1" "$2"',
  ];
  await run('sh', ['-c', command.join('\n'), 'sh', folder, source]);
  return folder;
}
