/** Erasing what is stored about a user. */
import { once } from 'node:events';
import { appendFile, chown, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { Erasure, type ErasureCall, type ErasureReport } from '../../src/spool/erasure.ts';
import { eraseRecords } from '../../src/spool/history/erase.ts';
import { History } from '../../src/spool/history/history.ts';
import { lineOf } from '../../src/spool/history/record.ts';
import { HistoryRecorder } from '../../src/spool/history/recorder.ts';
import { searchHistory } from '../../src/spool/history/search.ts';
import { historyFolder, listSegments } from '../../src/spool/history/segments.ts';
import { runTask } from '../../src/spool/history/task.ts';
import { checkFile } from '../../src/spool/inspect.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import type { ExtensionRequest, Spool } from '../../src/spool/spool.ts';
import { createEventBus, type Events } from '../../src/telemetry/events.ts';
import { createSpoolCalls, ids, retryAt } from '../conformance/spool-calls.ts';
import { eventually } from '../support/eventually.ts';
import { appendTo, claimFrom } from '../support/spool-promises.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeFailedPacket, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';
import { startAppending } from './start-appending.ts';

const jid = 'victim@localhost';
const everything = { handlers: ['push', 'log'], limit: 1_000_000, bytes: Number.MAX_SAFE_INTEGER, now: acceptedAt };

interface Erasing {
  readonly spool: Spool;
  readonly path?: string;
  readonly rewriteBytes?: number;
  /** What happens while the erasure waits. */
  readonly pause?: () => Promise<unknown>;
}

function openErasure({ spool, path = '/none/spool.sqlite', rewriteBytes = 1024 ** 2, pause = async () => undefined }: Erasing) {
  const woken: string[] = [];
  const deleted: Events['spool.deleted'][] = [];
  const requests: ExtensionRequest[] = [];
  const events = createEventBus();
  events.on('spool.deleted', (event) => deleted.push(event));
  const history = new History(path, {
    clock: systemClock,
    run: async (task) => runTask(task, systemClock),
  });
  const erasure = new Erasure({
    ...{ history, clock: systemClock, events, rewriteBytes, pause, forget: () => 0, wake: (pools) => void woken.push(...pools) },
    spool: {
      extend: (request) => {
        requests.push(request);
        return spool.extend(request);
      },
    },
  });
  const run = async (call: Partial<ErasureCall> = {}): Promise<ErasureReport> => {
    const all = { jid, dryRun: false, cursor: undefined, before: acceptedAt + 1, ...call };
    let sum = await erasure.run(all);
    while (sum.next !== undefined) {
      const part = await erasure.run({ ...all, cursor: sum.next });
      const [waiting, deadLetters, records] = [sum.waiting + part.waiting, sum.deadLetters + part.deadLetters, sum.records + part.records];
      sum = { ...part, waiting, deadLetters, records };
    }
    return sum;
  };
  return { run, woken, deleted, requests };
}

describe('the rows of the spool', () => {
  let spool: Spool;
  beforeEach(async () => {
    spool = createMemorySpool({ clock: systemClock, events: createEventBus() });
    await spool.start();
  });
  afterEach(() => spool.stop());
  const { leave, takeOne, settle, bury, fail, many, depth } = createSpoolCalls(() => spool);
  const waiting = async () => ids((await claimFrom(spool, 'pool', everything)).claimed);
  const dead = async () => ids(await spool.deadLetters({}, { limit: 99 }));

  test('events that the user sent or receives are erased in every state, and no others', async () => {
    await leave(makeDelivery({ id: 'sent', sender: jid }), makeDelivery({ id: 'received', receiver: jid }));
    await leave(makeDelivery({ id: 'longer', sender: `x${jid}` }), makeDelivery({ id: 'domain', receiver: `${jid}.example` }));
    await leave(makeDelivery({ id: 'quoted', body: `about ${jid}` }), makeDelivery({ id: 'other' }));
    await leave(makeDelivery({ id: 'from', target: { kind: 'xmpp', from: jid, to: 'bob@localhost' } }));
    await leave(makeDelivery({ id: 'asked', lane: `push room@muc ${jid}`, receiver: 'carol@localhost' }));
    await leave(makeDelivery({ id: 'orphan', handler: 'gone', sender: jid }));
    await fail(makeDelivery({ id: 'retried', sender: jid }), [answered(1, 503)]);
    await bury(makeDelivery({ id: 'dead', receiver: jid }), makeDelivery({ id: 'kept' }));
    await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket({ id: 'failed', sender: jid })] }));

    const { run, deleted } = openErasure({ spool });
    const counts = { records: 0, withheld: 0, held: 0, next: undefined };
    expect(await run({ dryRun: true })).toEqual({ waiting: 6, deadLetters: 2, file: null, ...counts });
    expect(await run()).toEqual({ waiting: 6, deadLetters: 2, file: 'rewritten', ...counts });
    expect(await run()).toEqual({ waiting: 0, deadLetters: 0, file: 'rewritten', ...counts });
    expect(deleted).toEqual([
      { pool: 'pool', handler: 'push', reason: 'erase', count: 5 },
      { pool: 'pool', handler: 'gone', reason: 'erase', count: 1 },
      { pool: 'pool', handler: 'push', reason: 'erase', count: 2 },
    ]);
    expect(await dead()).toEqual(['kept']);
    expect([depth()?.waiting, depth('pool', 'gone')?.waiting]).toEqual([4, 0]);
    expect(await waiting()).toEqual(['longer', 'domain', 'quoted', 'other']);
  });

  test('names of handlers, headers and words around a JID do not make an event one of a user', async () => {
    const headers = { kind: 'http', method: 'POST', path: '/', headers: [['x-from', jid]] } as const;
    await leave(makeDelivery({ id: 'header', target: headers }));
    await leave(makeDelivery({ id: 'handler', lane: 'push alice@localhost bob@localhost' }));
    await leave(makeDelivery({ id: 'asking', lane: 'ask push alice@localhost bob@localhost' }));
    for (const name of ['push', 'ask', jid, '>', 'push alice@localhost']) {
      const { run } = openErasure({ spool });
      expect(await run({ jid: name })).toMatchObject({ waiting: 0, deadLetters: 0, held: 0 });
    }
    expect(await waiting()).toEqual(['header', 'handler', 'asking']);
  });

  test('the receiver of a message that an earlier version stored unprepared is found', async () => {
    const target = { kind: 'xmpp', from: undefined, to: 'Victim@localhost/phone' } as const;
    await leave(makeDelivery({ id: 'message', receiver: 'Victim@localhost', target }));
    expect(await openErasure({ spool }).run()).toMatchObject({ waiting: 1 });
  });

  test('no event of the user becomes the head of its lane, which would send it', async () => {
    await leave(...many(250, { sender: jid, lane: `push bob@localhost ${jid}` }));
    const { run, woken } = openErasure({ spool });
    expect(await run()).toMatchObject({ waiting: 250 });
    expect(woken).toEqual([]);
  });

  test('the next delivery of a lane follows one that is erased', async () => {
    const lane = 'push everybody';
    await leave(
      makeDelivery({ id: 'first', sender: jid, lane }),
      makeDelivery({ id: 'second', sender: jid, lane }),
      makeDelivery({ id: 'third', lane }),
    );
    const { run, woken } = openErasure({ spool });
    await run();
    expect(woken).toContain('pool');
    expect(await waiting()).toEqual(['third']);
  });

  test('a held delivery stays, is counted if it was accepted before the given time, and is erased when it waits again', async () => {
    const seq = await takeOne(makeDelivery({ id: 'held', sender: jid }));
    await takeOne(makeDelivery({ id: 'later', sender: jid, createdAt: acceptedAt + 5 }));
    const { run } = openErasure({ spool });
    expect(await run()).toMatchObject({ waiting: 0, held: 1 });
    await settle(seq, retryAt(acceptedAt), { attempt: answered(1, 503) });
    expect(await run()).toMatchObject({ waiting: 1, held: 0 });
    expect(depth()?.waiting).toBe(1);
  });

  test.each(['held', 'pending', 'dead'])('a delivery that comes back after the step %s is erased in the same erasure', async (step) => {
    const seqs = [await takeOne(makeDelivery({ id: 'retried', sender: jid })), await takeOne(makeDelivery({ id: 'dying', sender: jid }))];
    const [retried = 0, dying = 0] = seqs;
    const { extend } = spool;
    const settleOnce = async () => {
      if (seqs.splice(0).length === 0) return;
      await settle(retried, retryAt(acceptedAt), { attempt: answered(1, 503) });
      await settle(dying, { kind: 'dead', reason: 'refused', detail: '' }, { attempt: answered(1, 400) });
    };
    const watched: Spool = {
      ...spool,
      extend: async (request) => {
        const answer = await extend(request);
        if ('kind' in request && (request.kind === step || ('table' in request && request.table === step))) await settleOnce();
        return answer;
      },
    };
    expect(await openErasure({ spool: watched }).run()).toMatchObject({ waiting: 1, deadLetters: 1, held: 0, file: 'rewritten' });
    expect(depth()).toMatchObject({ waiting: 0, dead: 0 });
  });

  test('a delivery that is claimed just before the erasure reaches it is awaited', async () => {
    await leave(makeDelivery({ id: 'claimed late', sender: jid }));
    const { extend } = spool;
    const seqs: number[] = [];
    const watched: Spool = {
      ...spool,
      extend: async (request) => {
        const answer = await extend(request);
        const claims = 'kind' in request && request.kind === 'held' && depth()?.waiting === 1 && seqs.length === 0;
        if (claims) seqs.push(...(await claimFrom(spool, 'pool', everything)).claimed.map(({ seq }) => seq));
        return answer;
      },
    };
    const pause = () => settle(seqs[0] ?? 0, retryAt(acceptedAt), { attempt: answered(1, 503) });
    expect(await openErasure({ spool: watched, pause }).run()).toMatchObject({ waiting: 1, held: 0 });
    expect(depth()?.waiting).toBe(0);
  });

  test('a wait for deliveries that never return ends, and the file is cleaned once', async () => {
    await takeOne(makeDelivery({ id: 'stuck', sender: jid }));
    let pauses = 0;
    const pause = async () => {
      pauses += 1;
    };
    const { run, requests } = openErasure({ spool, pause });
    expect(await run({ dryRun: true })).toMatchObject({ held: 1, file: null });
    expect(pauses).toBe(0);
    expect(await run()).toMatchObject({ held: 1, file: 'rewritten' });
    expect(pauses).toBe(60);
    expect(requests.filter((request) => 'kind' in request && request.kind === 'clean')).toHaveLength(1);
  });

  test('other commands run between the parts of an erasure of many events', async () => {
    await leave(...many(1700, { sender: jid }), ...many(40, { receiver: jid, body: 'x'.repeat(300_000) }), makeDelivery({ id: 'kept' }));
    const { run, requests } = openErasure({ spool });
    expect(await run()).toMatchObject({ waiting: 1740 });
    expect(requests.filter((request) => 'table' in request && request.table === 'pending').length).toBeGreaterThanOrEqual(6);
    expect(await waiting()).toEqual(['kept']);
  });

  test('an erasure ends even if the user continues to write', async () => {
    await leave(makeDelivery({ id: 'before', sender: jid }));
    const { extend } = spool;
    spool = {
      ...spool,
      extend: async (request) => {
        const answer = await extend(request);
        if ('table' in request) await leave(makeDelivery({ id: 'after', sender: jid }));
        return answer;
      },
    };
    const { run } = openErasure({ spool });
    expect(await run()).toMatchObject({ waiting: 1 });
  });

  test('a cursor that was not given by an erasure is refused', async () => {
    const { run } = openErasure({ spool });
    for (const cursor of ['', 'dead', 'pending:1', 'other:1:2', 'dead:-1:2'])
      await expect(run({ cursor })).rejects.toMatchObject({ code: 'BAD_CURSOR' });
  });
});

describe('the files', () => {
  let rig: SqliteRig;
  beforeEach(async () => {
    rig = await createSqliteRig();
  });
  afterEach(() => rig[Symbol.asyncDispose]());

  /** The names of the files that contain one of these texts. */
  async function filesWith(...texts: readonly string[]): Promise<readonly string[]> {
    const folder = join(rig.path, '..');
    const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const found: string[] = [];
    for (const { parentPath, name } of names) {
      const bytes = await readFile(join(parentPath, name));
      if (texts.some((text) => bytes.includes(text))) found.push(name);
    }
    return found;
  }

  const marker = 'TEXT-OF-THE-VICTIM';
  const mine = (index: number, rest: Partial<NewDelivery> = {}) =>
    makeDelivery({
      ...{ id: `mine-${index}`, sender: jid, receiver: `peer${index % 7}@localhost`, lane: `push peer${index % 7}@localhost ${jid}` },
      ...{ body: `${marker}${'x'.repeat((index * 37) % 6000)}`, ...rest },
    });
  const others = (index: number) =>
    makeDelivery({ id: `other-${index}`, lane: `push lane-${index % 11}`, body: 'y'.repeat((index * 53) % 900) });

  async function startWithHistory() {
    const recorder = new HistoryRecorder({ clock: systemClock, events: createEventBus(), bodies: true });
    const settings = { folder: historyFolder(rig.path), maxAgeMs: 3_600_000, maxBytes: 1_000_000, minFreeBytes: 0 };
    const spool = recorder.recording(await rig.started({ journal: { settings, take: () => recorder.take() } }));
    const { settle } = createSpoolCalls(() => spool);
    const deliver = async (delivery: NewDelivery) => {
      const [claimed] = await appendTo(spool, makeEntry([delivery], { take: true }));
      if (claimed === undefined) throw new Error('not claimed');
      await settle(claimed.seq, { kind: 'delivered' }, { delivery: claimed, attempt: answered(1, 200) });
    };
    return { spool, deliver, settle };
  }

  test('contain neither the user nor a text afterwards, while the service runs', async () => {
    const { spool, deliver, settle } = await startWithHistory();
    const { bury, fail } = createSpoolCalls(() => spool);
    for (let index = 0; index < 600; index += 1) await appendTo(spool, makeEntry(index % 3 === 0 ? [mine(index)] : [others(index)]));
    const quoting = { kind: 'answered', status: 503, durationMs: 3, retryAfter: undefined, excerpt: marker, truncated: false } as const;
    await fail(mine(9001, { lane: null }), [{ number: 1, at: acceptedAt, outcome: quoting }]);
    await bury(mine(9002, { lane: null }), makeDelivery({ id: 'kept' }));
    await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket({ receiver: jid, packet: marker, detail: marker })] }));
    for (let index = 0; index < 50; index += 1)
      await deliver(index % 2 === 0 ? mine(10_000 + index, { lane: null }) : makeDelivery({ id: `d${index}` }));
    const seq = await createSpoolCalls(() => spool).takeOne(mine(20_000, { lane: null }));
    await settle(seq, retryAt(acceptedAt + 1), { attempt: answered(1, 500) });
    expect((await filesWith(jid, marker)).length).toBeGreaterThan(1);

    const { run } = openErasure({ spool, path: rig.path, rewriteBytes: 1024 ** 3 });
    expect(await run({ dryRun: true })).toMatchObject({ waiting: 202, deadLetters: 2, records: 25 });
    expect(await run()).toMatchObject({ waiting: 202, deadLetters: 2, records: 25, held: 0, file: 'rewritten' });
    expect(await filesWith(jid, marker)).toEqual([]);
    await deliver(makeDelivery({ id: 'next' }));
    await spool.stop();
    expect(await filesWith(jid, marker)).toEqual([]);
    expect(checkFile(rig.path)).toEqual([]);
    const left = await rig.started();
    expect(left.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 400, dead: 1 }]);
  });

  test('are not rewritten if they are too large, and the report says so', async () => {
    const spool = await rig.started();
    await appendTo(spool, makeEntry([mine(1), others(2)]));
    expect(await openErasure({ spool, path: rig.path, rewriteBytes: 1000 }).run()).toMatchObject({ waiting: 1, file: 'too-large' });
    expect(await filesWith(jid, marker)).toEqual([]);
  });

  test('keep erased text in the log while another process reads them, and the report says so', async () => {
    const spool = await rig.started();
    await appendTo(spool, makeEntry([mine(1)]));
    const reader = new Database(rig.path, { readonly: true });
    onTestFinished(() => void reader.close());
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM deliveries').get();
    const { run } = openErasure({ spool, path: rig.path });
    expect(await run()).toMatchObject({ waiting: 1, file: 'in-use' });
    reader.exec('COMMIT');
    expect(await run()).toMatchObject({ waiting: 0, file: 'rewritten' });
    expect(await filesWith(jid, marker)).toEqual([]);
  });

  test.runIf(process.getuid?.() === 0)('that root creates belong to the owner of their folder', async () => {
    const folder = dirname(rig.path);
    await mkdir(folder);
    await chown(folder, 65_534, 65_534);
    await rig.started();
    for (const name of await readdir(folder)) expect(await stat(join(folder, name))).toMatchObject({ uid: 65_534, gid: 65_534 });
    expect(await readdir(folder)).toContain('spool.sqlite.lock');
  });

  test('of the history keep the records of others, and lose lines that a kill has cut', async () => {
    const { spool, deliver } = await startWithHistory();
    await deliver(mine(1, { lane: null }));
    await deliver(makeDelivery({ id: 'kept', body: `"${jid}"` }));
    const [segment] = listSegments(historyFolder(rig.path));
    const claimed = { ...mine(2), seq: 1, attempts: 0, failingSince: undefined, context: {} };
    const record = lineOf(claimed, makeSettlement(1, { kind: 'delivered' }), { now: 1, bodies: true, withheld: undefined });
    await appendFile(segment?.path ?? '', `${record.slice(0, -20)}\n${record.slice(0, -10)}`);
    expect(await openErasure({ spool, path: rig.path }).run()).toMatchObject({ records: 3 });
    expect(await filesWith(marker)).toEqual([]);
    const folder = historyFolder(rig.path);
    const all = { folder, filter: {}, states: ['delivered'] as const, limit: 9, backward: false, after: undefined, withinMs: 60_000 };
    expect(searchHistory(all, systemClock).records.map(({ record: { id } }) => id)).toEqual(['kept']);
    const left = eraseRecords({ folder, jid, dryRun: true, after: 0, withinMs: 0 }, systemClock);
    expect(left).toEqual({ count: 0, more: undefined });
  });

  test('an erasure that was killed leaves a consistent spool, and can be repeated', async () => {
    const { child, lines } = startAppending(rig.path, 'erase', jid);
    await eventually(() => lines().filter((line) => line === 'erased').length > 5);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(checkFile(rig.path)).toEqual([]);
    const spool = await rig.started();
    expect((await openErasure({ spool, path: rig.path, rewriteBytes: 1024 ** 3 }).run()).waiting).toBeGreaterThan(0);
    await spool.stop();
    expect(await filesWith(jid)).toEqual([]);
    expect(checkFile(rig.path)).toEqual([]);
  });
});
