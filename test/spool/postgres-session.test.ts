/** The session of the process that owns a spool in PostgreSQL: what it refuses, what it keeps, and the effects of a lost connection. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock, systemTimers, type Timers } from '../../src/kit/clock.ts';
import type { PacketFacts } from '../../src/model/packet.ts';
import { type EventFilter, EventStore } from '../../src/spool/event-store.ts';
import { operatorWaitMs } from '../../src/spool/postgres/bounded-calls.ts';
import { stalledStopMs } from '../../src/spool/postgres/spool.ts';
import { createRetention } from '../../src/spool/retention.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { jid, openErasure } from '../conformance/erasure.ts';
import { eventually } from '../support/eventually.ts';
import { hasPostgres } from '../support/postgres.ts';
import { startRelay } from '../support/relay.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { acceptedAt, answered, idOf, makeDelivery, makeEntry, makeFailedPacket, makeSettlement } from './build.ts';
import { createPostgresRig, type PostgresRig } from './postgres-rig.ts';

describe.skipIf(!(await hasPostgres()))('the session', () => {
  let rig: PostgresRig;
  beforeAll(async () => {
    rig = await createPostgresRig();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  const everything = { handlers: ['push'], limit: 10_000, bytes: 1e9, now: acceptedAt + 1000 };
  const claimIds = async (spool: Spool) => (await claimFrom(spool, 'pool', everything)).claimed.map(({ id }) => id);
  const storedIds = async (schema: string) =>
    (await rig.server.query(`SELECT id FROM ${schema}.deliveries ORDER BY seq`)).map(({ id }) => id);

  test('a second process cannot use the same schema, and its error names the owner', async () => {
    const spool = await rig.started({}, { schema: 'shared' });
    const message = expect.stringMatching(/schema shared .* is used by process \d+ on \S+/);
    await expect(rig.started({}, { schema: 'shared' })).rejects.toMatchObject({ code: 'SPOOL_LOCKED', message });
    await spool.stop();
    await rig.started({}, { schema: 'shared' });
  });

  test('claims end with the process: lanes keep their order, retries their attempts, dead letters and pauses stay', async () => {
    const before = await rig.started({}, { schema: 'restarted' });
    const lane = 'lane';
    const claimed = await appendTo(
      before,
      makeEntry(
        ['a', 'b'].map((id) => makeDelivery({ id, lane })),
        { take: true },
      ),
    );
    await appendTo(before, makeEntry([makeDelivery({ id: 'c', lane }), makeDelivery({ id: 'd' }), makeDelivery({ id: 'e' })]));
    const [first] = claimed;
    const retry = { kind: 'retry', notBefore: acceptedAt + 5, leaveLane: false, context: { step: '1' } } as const;
    await settleIn(before, makeSettlement(first?.seq ?? 0, retry, { attempt: answered(1, 503) }));
    const [d] = (await claimFrom(before, 'pool', { ...everything, now: acceptedAt })).claimed;
    await settleIn(before, makeSettlement(d?.seq ?? 0, { kind: 'dead', reason: 'refused', detail: '' }));
    await before.setPaused('pool', true);
    await before.stop();

    const after = await rig.started({}, { schema: 'restarted' });
    expect(after.stats()).toMatchObject({ depths: [{ waiting: 4, dead: 1 }], paused: ['pool'] });
    const { claimed: again } = await claimFrom(after, 'pool', everything);
    expect(again).toMatchObject([{ id: 'e' }, { id: 'a', attempts: 1, context: { step: '1' }, failingSince: acceptedAt + 1 }]);
    const { next } = await settleIn(after, makeSettlement(again[1]?.seq ?? 0, { kind: 'delivered' }, { claimNext: 9 }));
    expect(next.map(({ id }) => id)).toEqual(['b', 'c']);
  });

  test('while there is no connection calls wait, and each is executed once, in order', async () => {
    await using relay = await startRelay(rig.server.port);
    const url = `postgres://postgres@127.0.0.1:${relay.port}/postgres`;
    const spool = await rig.started({}, { schema: 'cut', url });
    const names = Array.from({ length: 3000 }, (_, index) => `d${index}`);
    let done = 0;
    const appends = names.map(async (id, index) => {
      if (index % 300 === 299) await eventually(() => done >= index - 299); // spread over many transactions
      await appendTo(spool, makeEntry([makeDelivery({ id })]));
      done += 1;
      if (done % 100 === 0) relay.cut();
    });
    await Promise.all(appends);
    expect(relay.connections).toBeGreaterThan(2);
    expect((await storedIds('cut')).toSorted()).toEqual(names.toSorted());
    expect(spool.stats().writable).toBe(true);
  });

  test('a server that is killed closes intake until it has recovered, and loses nothing that was answered', async () => {
    const failures: Error[] = [];
    const spool = await rig.started({ onFailed: (error) => failures.push(error) }, { schema: 'killed' });
    const [claimed] = await appendTo(spool, makeEntry([makeDelivery({ id: 'a', lane: 'lane' })], { take: true }));
    await appendTo(spool, makeEntry([makeDelivery({ id: 'b', lane: 'lane' })]));
    await rig.server.kill();
    const waiting = appendTo(spool, makeEntry([makeDelivery({ id: 'c' })]));
    const settling = settleIn(spool, makeSettlement(claimed?.seq ?? 0, { kind: 'delivered' }, { claimNext: 1 }));
    await eventually(() =>
      expect(spool.stats()).toMatchObject({ writable: false, reason: expect.stringContaining('no commit in PostgreSQL') }),
    );
    await rig.server.start();
    await waiting;
    expect((await settling).next.map(({ id }) => id)).toEqual(['b']);
    expect(await claimIds(spool)).toEqual(['c']);
    expect(await storedIds('killed')).toEqual(['b', 'c']);
    expect(spool.stats().writable).toBe(true);
    expect(failures).toEqual([]);
  });

  test('a process that another one has replaced writes nothing more', async () => {
    const failures: Error[] = [];
    const spool = await rig.started({ onFailed: (error) => failures.push(error) }, { schema: 'replaced' });
    const [claimed] = await appendTo(spool, makeEntry([makeDelivery({ id: 'a' })], { take: true }));
    await rig.server.query(`UPDATE replaced.owner SET epoch = epoch + 1, holder = 'process 1 on other'`);
    const results = await Promise.allSettled([
      appendTo(spool, makeEntry([makeDelivery({ id: 'b' })])),
      settleIn(spool, makeSettlement(claimed?.seq ?? 0, { kind: 'delivered' })),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(failures).toMatchObject([{ code: 'SPOOL_LOCKED', message: expect.stringContaining('is used by process 1 on other') }]);
    expect(await storedIds('replaced')).toEqual(['a']);
  });

  test('a stop without a connection ends, and calls that wait fail', async () => {
    const relay = await startRelay(rig.server.port);
    const timers: Timers = { after: (ms, action) => systemTimers.after(ms === stalledStopMs ? 0 : ms, action) };
    const spool = await rig.started({ timers }, { schema: 'stopped', url: `postgres://postgres@127.0.0.1:${relay.port}/postgres` });
    await relay[Symbol.asyncDispose]();
    const retention = createRetention({ spool, maxAgeMs: 0, maxLetters: undefined, clock: systemClock, events: createEventBus() });
    await retention.start();
    await retention.stop();
    const waiting = appendTo(spool, makeEntry([makeDelivery()]));
    await Promise.all([expect(waiting).rejects.toMatchObject({ code: 'SPOOL_FAILED' }), spool.stop()]);
  });

  test('a stop ends a connection that is being made', async () => {
    const relay = await startRelay(rig.server.port);
    const timers: Timers = { after: (ms, action) => systemTimers.after(ms === stalledStopMs ? 0 : ms, action) };
    const spool = await rig.started({ timers }, { schema: 'silent', url: `postgres://postgres@127.0.0.1:${relay.port}/postgres` });
    await relay[Symbol.asyncDispose]();
    const sockets: Socket[] = [];
    await using silent = createServer((socket) => sockets.push(socket.on('error', () => undefined).resume()));
    await once(silent.listen(relay.port, '127.0.0.1'), 'listening');
    const waiting = appendTo(spool, makeEntry([makeDelivery()]));
    await eventually(() => sockets.length > 0);
    const stopping = spool.stop();
    await expect(waiting).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
    await eventually(() => sockets.every(({ destroyed }) => destroyed), { withinMs: 8000 }); // the attempt would end by itself after 10 s
    await stopping;
  });

  test('a server that lacks transactions that it had committed ends the session, so that the spool is read again', async () => {
    const failures: Error[] = [];
    await using relay = await startRelay(rig.server.port);
    const url = `postgres://postgres@127.0.0.1:${relay.port}/postgres`;
    const spool = await rig.started({ onFailed: (error) => failures.push(error) }, { schema: 'behind', url });
    for (const id of ['a', 'b']) await appendTo(spool, makeEntry([makeDelivery({ id })]));
    await rig.server.query(`DELETE FROM behind.deliveries WHERE id = 'b'`);
    await rig.server.query('UPDATE behind.owner SET batch = batch - 1');
    relay.cut();
    await expect(claimFrom(spool, 'pool', everything)).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
    expect(failures).toMatchObject([{ code: 'SPOOL_FAILED', message: expect.stringContaining('lacks transactions') }]);
  });

  test('the last of several changes of a pause is stored', async () => {
    const before = await rig.started({}, { schema: 'changed' });
    await before.setPaused('a', true);
    await Promise.all([false, true].map((paused) => before.setPaused('a', paused)));
    await Promise.all([true, false].map((paused) => before.setPaused('b', paused)));
    await before.stop();
    const after = await rig.started({}, { schema: 'changed' });
    expect(after.stats().paused).toEqual(['a']);
  });

  test('a position that PostgreSQL refuses rejects its own search', async () => {
    const spool = await rig.started({}, { schema: 'positions' });
    const search = { table: 'pending', filter: {}, backward: false, limit: 9 } as const;
    await expect(new EventStore(spool).find({ ...search, after: [0, 1.5] })).rejects.toMatchObject({ code: 'SPOOL_ROW_REFUSED' });
    expect((await new EventStore(spool).find({ ...search, after: [0, 1] })).events).toEqual([]);
  });

  test('a time limit of the role does not end statements that wait for others', async () => {
    const events = createEventBus();
    const changes: string[] = [];
    events.on('spool.writable', ({ reason }) => changes.push(reason));
    const spool = await rig.started({ events }, { schema: 'limited', url: `${rig.server.url()}?options=-c%20lock_timeout%3D1` });
    const locked = rig.server.query('DO $$ BEGIN LOCK TABLE limited.deliveries; PERFORM pg_sleep(0.3); END $$');
    await eventually(
      async () => (await rig.server.query(`SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted`)).length > 0,
    );
    await appendTo(spool, makeEntry([makeDelivery()]));
    await locked;
    expect(changes.filter((reason) => reason !== '')).toEqual([]);
  });

  test('a transaction that takes longer than a connection may be silent is given more time', async () => {
    const spool = await rig.started({ queryTimeoutMs: 150 }, { schema: 'slow' });
    await rig.server.query(
      `CREATE FUNCTION slow.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'`,
    );
    await rig.server.query('CREATE TRIGGER wait BEFORE INSERT ON slow.deliveries FOR EACH STATEMENT EXECUTE FUNCTION slow.wait()');
    await appendTo(spool, makeEntry([makeDelivery({ id: 'a' })]));
    expect(await storedIds('slow')).toEqual(['a']);
  });

  test('commands of an operator fail while the database is unavailable, and deliveries wait', async () => {
    const timers: Timers = { after: (ms, action) => systemTimers.after(ms === operatorWaitMs ? 0 : ms, action) };
    const spool = await rig.started({ timers }, { schema: 'away' });
    await rig.server.stop();
    const waiting = appendTo(spool, makeEntry([makeDelivery({ id: 'a' })]));
    await eventually(() => expect(spool.stats().writable).toBe(false));
    const unavailable = {
      code: 'SPOOL_UNAVAILABLE',
      message: expect.stringMatching(/^the database of the spool is unavailable: no commit in PostgreSQL/),
    };
    await expect(spool.countDead({ reason: 'refused' })).rejects.toMatchObject(unavailable);
    await expect(spool.setPaused('pool', true)).rejects.toMatchObject(unavailable);
    await rig.server.start();
    await waiting;
    expect(await spool.countDead({ reason: 'refused' })).toBe(0);
    expect(spool.stats().paused).toEqual([]);
  });

  test('a role that may only read and write rows is enough once the tables are there, and no right on the database is needed', async () => {
    const { server } = rig;
    await server.query('CREATE ROLE writer LOGIN; CREATE ROLE maker LOGIN; CREATE SCHEMA granted AUTHORIZATION maker');
    const urlOf = (role: string) => server.url().replace('postgres@', `${role}@`);
    await (await rig.started({}, { schema: 'granted', url: urlOf('maker') })).stop();
    await expect(rig.started({}, { schema: 'granted', url: urlOf('writer') })).rejects.toMatchObject({ code: 'SPOOL_OPEN_FAILED' });
    await server.query(
      'GRANT USAGE ON SCHEMA granted TO writer; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA granted TO writer',
    );
    const note = () => undefined;
    const journal = { settings: { maxAgeMs: 1000, maxBytes: 1_000_000 }, take: () => 'record\n', note };
    const spool = await rig.started({ journal }, { schema: 'granted', url: urlOf('writer') });
    const [claimed] = await appendTo(spool, makeEntry([makeDelivery({ id: 'a', sender: jid })], { take: true }));
    await settleIn(
      spool,
      makeSettlement(claimed?.seq ?? 0, { kind: 'dead', reason: 'refused', detail: '' }, { attempt: answered(1, 400) }),
    );
    await appendTo(spool, makeEntry([makeDelivery({ id: 'b', sender: jid })]));
    expect(await openErasure({ spool }).run()).toMatchObject({ waiting: 1, deadLetters: 1, file: 'not-owner' });
  });

  test('dead letters are found among many, part by part, and their number is stored', async () => {
    await (await rig.started({}, { schema: 'many' })).stop();
    await rig.server.query(`INSERT INTO many.dead (nr, id, packet_id, host, handler, pool, sender, receiver, reason, detail, attempts, seen_at, created_at, died_at, is_text)
      SELECT n, 'd' || n, 'p', 'localhost', 'push', 'pool', 'a@b', 'c@d', CASE WHEN n IN (1, 11999) THEN 'expired' ELSE 'refused' END, '', 0, 0, 0, n / 7, true
      FROM generate_series(1, 12000) AS n`);
    await rig.server.query(`INSERT INTO many.dead_counts VALUES ('pool', 'push', 12000)`);
    const spool = await rig.started({}, { schema: 'many' });
    const filter = { reason: 'expired' } as const;
    const found = async (newest: boolean) => (await spool.deadLetters(filter, { limit: 9, newest })).map(({ id }) => id);
    expect([await found(false), await found(true)]).toEqual([
      ['d1', 'd11999'],
      ['d1', 'd11999'],
    ]);
    expect(await spool.countDead(filter)).toBe(2);
    expect((await spool.deadLetters({}, { limit: 12_001 })).length).toBe(12_000);
    expect(await spool.purgeDead({ diedBefore: 1000 })).toBe(6999);
    expect(await spool.purgeDead(filter)).toBe(1);
    expect(await spool.replay({ reason: 'refused' }, { limit: 1e9, now: acceptedAt })).toMatchObject({ failedPackets: 5000 });
    expect(spool.stats().depths).toMatchObject([{ dead: 5000 }]);
    await spool.stop();
    expect((await rig.started({}, { schema: 'many' })).stats().depths).toMatchObject([{ dead: 5000 }]);
  });

  test('a batch that is too large for one statement takes several', async () => {
    const spool = await rig.started({}, { schema: 'large' });
    const ids = ['a', 'b', 'c'];
    const claimed = await appendTo(
      spool,
      makeEntry(
        ids.map((id) => makeDelivery({ id })),
        { take: true },
      ),
    );
    const commits = async () => Number((await rig.server.query('SELECT batch FROM large.owner'))[0]?.['batch']);
    const before = await commits();
    const body = 'x'.repeat(17 * 1024 * 1024);
    const settle = ({ seq, id }: (typeof claimed)[number]) =>
      settleIn(spool, makeSettlement(seq, { kind: 'delivered' }, { spawn: [makeDelivery({ id: `${id}.1`, body })] }));
    await Promise.all(claimed.map(settle));
    expect((await commits()) - before).toBe(3);
    expect(await storedIds('large')).toEqual(ids.map((id) => `${id}.1`));
  });

  test('texts that PostgreSQL cannot store are stored nevertheless, and a value that it refuses rejects its own call', async () => {
    const spool = await rig.started({}, { schema: 'values' });
    const bytes = Uint8Array.from([0, 255, 10]);
    const fraction = makeDelivery({ id: 'f', seenAt: acceptedAt + 0.5 });
    const results = await Promise.allSettled([
      appendTo(spool, makeEntry([makeDelivery({ id: 'a', body: 'nul \0, {"quotes"}, \\x41, NULL', sender: 'a\0@b' })])),
      appendTo(spool, makeEntry([fraction])),
      appendTo(spool, makeEntry([makeDelivery({ id: 'b', body: bytes }), makeDelivery({ id: 'c', body: '' })])),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'SPOOL_ROW_REFUSED' } });
    const { claimed } = await claimFrom(spool, 'pool', everything);
    expect(claimed.map(({ body }) => body)).toEqual(['nul \0, {"quotes"}, \\x41, NULL', bytes, '']);
    expect(await spool.countDead({ ids: ['x\0' as never] })).toBe(0);
  });

  test('an operator finds events, makes them due and drops them', async () => {
    const spool = await rig.started({}, { schema: 'searched' });
    const store = new EventStore(spool);
    const facts = '["message","m1","s1"]' as PacketFacts;
    await appendTo(spool, makeEntry([makeDelivery({ id: 'a', lane: 'lane' })], { take: true }));
    await appendTo(
      spool,
      makeEntry([makeDelivery({ id: 'b', lane: 'lane', facts, sender: 'carol@localhost' }), makeDelivery({ id: 'a.1' })]),
    );
    const [later] = await appendTo(spool, makeEntry([makeDelivery({ id: 'd' })], { take: true }));
    const retry = { kind: 'retry', notBefore: acceptedAt + 900, leaveLane: false, context: {} } as const;
    await settleIn(spool, makeSettlement(later?.seq ?? 0, retry, { attempt: answered(1, 503) }));
    await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket({ id: 'a.2' })] }));

    const find = async (filter: EventFilter, backward = false) =>
      (await store.find({ table: 'pending', filter, backward, limit: 9, after: undefined })).events;
    expect((await find({}, true)).map(({ id }) => id)).toEqual(['d', 'a.1', 'b', 'a']);
    expect(await find({ jid: 'carol@localhost' })).toMatchObject([{ id: 'b', stanzaId: 's1', isClaimed: false, dueAt: null }]);
    expect((await find({ stanzaId: 'm1' })).map(({ id }) => id)).toEqual(['b']);
    expect(await find({ status: 503 })).toMatchObject([{ id: 'd', attempts: 1, dueAt: acceptedAt + 900 }]);
    expect([await store.count('pending', {}), await store.count('dead', {})]).toEqual([4, 1]);
    expect(await store.descendants(idOf('a'))).toEqual([
      { id: 'a.2', state: 'dead' },
      { id: 'a.1', state: 'owed' },
    ]);
    const [claimed, b, , d] = (await find({})).map(({ position, id }) => [position[1], id] as const);
    expect(await store.content(b ?? [0, idOf('')])).toMatchObject({ body: 'body of b', behind: 'a', history: [] });
    const keys = [claimed, b, d].flatMap((key) => (key === undefined ? [] : [key]));
    expect(await store.makeDue(keys, acceptedAt)).toEqual({ ids: ['b', 'd'], missed: 1, readyPools: ['pool'] });
    expect(await store.drop(keys.slice(0, 2), acceptedAt)).toEqual({ ids: ['b'], missed: 1, readyPools: [] });
    expect(await claimIds(spool)).toEqual(['a.1', 'd']);
  });

  test('an erasure removes texts from the files of the tables, unless another session may still read them, or the tables are large', async () => {
    const spool = await rig.started({}, { schema: 'erased' });
    const [folder] = await rig.server.query('SHOW data_directory');
    const hasText = async () => {
      await rig.server.query('CHECKPOINT');
      const { stdout } = await promisify(execFile)('grep', ['-rlaF', 'TEXT-OF-THE-VICTIM', `${folder?.['data_directory']}/base`]).catch(
        () => ({ stdout: '' }),
      );
      return stdout !== '';
    };
    const leave = (id: string) =>
      appendTo(spool, makeEntry([makeDelivery({ id, sender: jid, body: 'TEXT-OF-THE-VICTIM' }), makeDelivery({ id: `${id}-other` })]));
    await leave('a');
    expect(await hasText()).toBe(true);
    expect(await openErasure({ spool, rewriteBytes: 0 }).run()).toMatchObject({ waiting: 1, file: 'too-large' });
    expect(await hasText()).toBe(true);

    await leave('b');
    const reader = new Client({ connectionString: rig.server.url() });
    await reader.connect();
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
    const { run } = openErasure({ spool });
    expect(await run()).toMatchObject({ waiting: 1, file: 'in-use' });
    await reader.query('COMMIT; BEGIN; LOCK TABLE erased.dead IN ACCESS SHARE MODE');
    expect(await run()).toMatchObject({ file: 'in-use' });
    await reader.end();
    expect(await run()).toMatchObject({ file: 'rewritten' });
    expect(await hasText()).toBe(false);
    expect(await storedIds('erased')).toEqual(['a-other', 'b-other']);
  });

  test.each([
    [
      'a schema of another program',
      'CREATE SCHEMA foreign_one; CREATE TABLE foreign_one.users ()',
      'foreign_one',
      'SPOOL_OPEN_FAILED',
      'holds tables of another program',
    ],
    [
      'a schema of a later version',
      'CREATE SCHEMA later; CREATE TABLE later.spool_version AS SELECT 99 AS version',
      'later',
      'SPOOL_TOO_NEW',
      'has version 99',
    ],
  ])('refuses %s', async (_, sql, schema, code, text) => {
    await rig.server.query(sql);
    await expect(rig.started({}, { schema })).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
  });

  test('refuses a server that answers before a commit is on disk, a wrong address and a database in another encoding', async () => {
    const unsafe = `${rig.server.url()}?options=-c%20synchronous_commit%3Doff`;
    const code = 'SPOOL_OPEN_FAILED';
    await expect(rig.started({}, { url: unsafe })).rejects.toMatchObject({
      code,
      message: expect.stringContaining('synchronous_commit is off'),
    });
    await expect(rig.started({}, { url: 'postgres://x:hidden@127.0.0.1:1/db' })).rejects.toMatchObject({
      ...{ code, message: expect.stringMatching(/^cannot open the spool in PostgreSQL at 127\.0\.0\.1:1\/db: .*ECONNREFUSED/) },
    });
    await rig.server.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    await expect(rig.started({}, { url: rig.server.url('latin') })).rejects.toMatchObject({
      code,
      message: expect.stringContaining('encoding LATIN1'),
    });
  });
});
