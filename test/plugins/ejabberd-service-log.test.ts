import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Stanza } from '../../src/model/packet.ts';
import { forwarded } from '../../src/sources/component/tap-item.ts';
import { connectComponent } from '../support/component-socket.ts';
import { type Ejabberd, startEjabberd } from '../support/ejabberd.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';

/** The statements of plugins/ejabberd/README.md about the stock module. */
describe.skipIf(!(await requirePackage('ejabberd', '/usr/sbin/ejabberdctl')))('the copies of mod_service_log', () => {
  let ejabberd: Ejabberd;

  beforeAll(async () => {
    ejabberd = await startEjabberd();
  });

  afterAll(() => ejabberd[Symbol.asyncDispose]());

  test('are made once when a message is sent, and once for each client that receives it', async () => {
    await using component = await connectComponent(ejabberd.component);
    await using alice = await ejabberd.connect({ user: 'alice', resource: 'phone' });
    await using _desk = await ejabberd.connect({ user: 'bob', resource: 'desk' });
    await using _web = await ejabberd.connect({ user: 'bob', resource: 'web', transport: 'websocket' });
    alice.sendChat('bob@localhost', 'Hi, Bob!');

    await eventually(() => copiesOf('Hi, Bob!', component.inbox.all).length >= 3);
    await ejabberd.api('send_message', { type: 'chat', from: 'localhost', to: 'alice@localhost', subject: '', body: 'Down at noon' });
    await eventually(() => copiesOf('Down at noon', component.inbox.all).length >= 1);
    expect(new Set(copiesOf('Hi, Bob!', component.inbox.all).map(({ xml }) => xml)).size).toBe(1);
    expect(copiesOf('Hi, Bob!', component.inbox.all)).toHaveLength(3);
  });

  test('are refused while the component is disconnected, and cause no DNS lookup', async () => {
    const before = ejabberd.logs().length;
    await using alice = await ejabberd.connect({ user: 'alice', resource: 'phone' });
    await using bob = await ejabberd.connect({ user: 'bob', resource: 'desk' });
    alice.sendChat(bob.jid, 'nobody listens');
    await bob.next(({ name }) => name === 'message');

    await eventually(() => ejabberd.logs().slice(before).includes('Opened c2s session for bob'));
    expect(ejabberd.logs().slice(before)).not.toMatch(/s2s|remote-server/i);
  });
});

function copiesOf(body: string, received: readonly Stanza[]): Stanza[] {
  return received.map(forwarded).filter((stanza): stanza is Stanza => stanza?.text('body') === body);
}
