import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { Mark } from '../../src/model/packet.ts';
import { startClientSource } from '../support/client-source.ts';
import { startEjabberd } from '../support/ejabberd.ts';
import { compile } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { startRelay } from '../support/relay.ts';

const isHere = await requirePackage('ejabberd', '/usr/sbin/ejabberdctl');
const fixture = fileURLToPath(new URL('../fixtures/ejabberd/mod_held_session.erl', import.meta.url));
const compiled = await mkdtemp(join(tmpdir(), 'held-session-'));
afterAll(() => rm(compiled, { recursive: true, force: true }));
if (isHere) await compile(fixture, compiled);

describe.skipIf(!isHere)('an account whose earlier session is still archiving messages', () => {
  test.each([
    ['before', 'while'],
    ['after', 'after'],
  ])('loses none of them if that session ends %s the next message', async (order) => {
    const users = { alice: 'pw', bob: 'pw' };
    await using ejabberd = await startEjabberd({ users, serviceLog: false, modules: { mod_held_session: {} }, codePaths: [compiled] });
    await using relay = await startRelay(ejabberd.c2sPort);
    await using alice = await ejabberd.connect({ user: 'alice' });
    const disk = new Map<string, Mark>();
    await using first = await startClientSource({ port: relay.port, disk });
    await eventually(() => expect(first.reason()).toBe(''));
    alice.sendChat('bob@localhost', 'one');
    await eventually(() => expect(first.bodies()).toEqual(['one']));

    await ejabberd.api('register', { user: 'hold', host: 'localhost', password: 'pw' });
    for (const body of ['two', 'three']) alice.sendChat('bob@localhost', body);
    await alice.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');
    relay.cut();
    await first.source.stop();
    await using second = await startClientSource({ port: ejabberd.c2sPort, disk });
    await eventually(() => expect(second.reason()).toBe(''));
    const letGo = () => ejabberd.api('unregister', { user: 'hold', host: 'localhost' });
    if (order === 'before') await letGo();
    alice.sendChat('bob@localhost', 'four');
    await eventually(() => expect(second.bodies()).toContain('four'));
    if (order === 'after') await letGo();
    await eventually(() => expect(second.bodies().toSorted()).toEqual(['four', 'three', 'two']));
  });
});
