import { describe, expect, test } from 'vitest';
import type { Stanza } from '../../pools/contract.ts';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { connectTapPusher } from '../support/tap-pusher.ts';
import { freePort } from '../support/target.ts';
import { openTcpStream } from '../support/tcp-stream.ts';

describe.skipIf(!(await requirePackage('prosody')))('who may have the feed of Prosody', () => {
  test.each([
    ['resume', ''],
    ['ack', " h='1'"],
  ])('a user who sends %s is refused and changes nothing', async (name, attributes) => {
    await using prosody = await startProsody();
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(prosody.component);
    const { epoch = '' } = await pusher.ask();
    alice.sendChat('nobody@localhost', 'one');
    const answer = await alice.ask(`<${name} xmlns='${tapNs}' epoch='${epoch}'${attributes}/>`, 'localhost');

    expect(answer.attrs['type']).toBe('error');
    expect(answer.xml).toContain('<forbidden ');
    expect(alice.received.filter(({ xml }) => xml.includes('urn:xmpp:forward:0'))).toEqual([]);
    expect(await pusher.ask({ epoch, h: 0 })).toMatchObject({ pending: '1' });
  });

  test('another component is refused too', async () => {
    const config = 'Component "other.localhost"\n  component_secret = "s3cret"';
    await using prosody = await startProsody({ config });
    await using other = await connectTapPusher({ ...prosody.component, domain: 'other.localhost' });

    await expect(other.ask()).rejects.toThrow('forbidden');
  });

  test('a remote server can open a stream to the virtual host and none to the component', async () => {
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

/** Opens a stream as a server that nobody knows yet, and gives the first thing that it is told. */
async function callAsServer(port: number, to: string): Promise<Stanza> {
  const stream = await openTcpStream('remote.example', port);
  const namespaces = "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'";
  await stream.open(`<stream:stream ${namespaces} from='remote.example' to='${to}' version='1.0'>`);
  const first = await stream.inbox.next();
  await stream.cut();
  return first;
}
