import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startChild } from './start-child.ts';

/** The socket on which systemd takes the notifications of a service. Node has no datagram sockets of this kind, so perl reads it. */
export interface NotifySocket extends AsyncDisposable {
  readonly path: string;
  /** The assignments of each message, in the order of arrival. */
  readonly received: readonly string[];
}

const reader = `
use Socket; $| = 1;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
print "bound\\n";
while (defined recv($socket, my $text, 65536, 0)) { $text =~ s/\\n(?=.)/ /g; $text =~ s/\\n//; print "$text\\n" if length $text }
`;

export async function startNotifySocket(): Promise<NotifySocket> {
  const folder = await mkdtemp(join(tmpdir(), 'notify-'));
  const path = join(folder, 'notify');
  const child = startChild('perl', ['-e', reader, path]);
  child.stderr.resume();
  const received: string[] = [];
  const lines = createInterface(child.stdout);
  await once(lines, 'line');
  lines.on('line', (line) => {
    if (!line.startsWith('BARRIER=')) received.push(line);
  });
  return {
    path,
    received,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}
