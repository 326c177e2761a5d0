import { describe, expect, test } from 'vitest';
import type { Stanza } from '../../src/model/packet.ts';
import { keepsStrangersOut } from '../conformance/tap-access.ts';
import { eventually } from '../support/eventually.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { freePort } from '../support/target.ts';
import { openTcpStream } from '../support/tcp-stream.ts';

const prosody = await prosodyTap();

keepsStrangersOut(prosody);

describe.skipIf(!prosody.isHere)('the ports of Prosody', () => {
  test('a remote server can open a stream to the virtual host, but not to the component', async () => {
    const port = await freePort();
    const lua = [
      'modules_disabled = { "tls" }',
      's2s_interfaces = { "127.0.0.1" }',
      `s2s_ports = { ${port} }`,
      's2s_require_encryption = false',
    ];
    await using _prosody = await startProsody({ modules: ['dialback'], config: lua.join('\n') });

    await eventually(async () => expect((await callAsServer(port, 'localhost')).name).toBe('stream:features'));
    expect((await callAsServer(port, 'pusher.localhost')).xml).toContain('<policy-violation ');
  });
});

/** Opens a stream as an unknown server, and returns the first stanza of the response. */
async function callAsServer(port: number, to: string): Promise<Stanza> {
  const stream = await openTcpStream('remote.example', port);
  const namespaces = "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'";
  await stream.open(`<stream:stream ${namespaces} from='remote.example' to='${to}' version='1.0'>`);
  const first = await stream.inbox.next();
  await stream.cut();
  return first;
}
