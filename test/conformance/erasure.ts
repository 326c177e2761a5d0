/** What an erasure removes from a spool of any engine, and what it leaves. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import { Erasure, type ErasureCall, type ErasureReport } from '../../src/spool/erasure.ts';
import { History } from '../../src/spool/history/history.ts';
import { runTask } from '../../src/spool/history/task.ts';
import type { ExtensionRequest, Spool } from '../../src/spool/spool.ts';
import { createEventBus, type Events } from '../../src/telemetry/events.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeFailedPacket } from '../spool/build.ts';
import { appendTo, claimFrom } from '../support/spool-promises.ts';
import { createSpoolCalls, ids, retryAt } from './spool-calls.ts';

/** The user who is erased in these tests. */
export const jid = 'victim@localhost';
const everything = { handlers: ['push', 'log'], limit: 1_000_000, bytes: Number.MAX_SAFE_INTEGER, now: acceptedAt };

interface Erasing {
  readonly spool: Spool;
  readonly path?: string;
  readonly rewriteBytes?: number;
  /** What happens while the erasure waits. */
  readonly pause?: () => Promise<unknown>;
}

export function openErasure({ spool, path = '/none/spool.sqlite', rewriteBytes = 1024 ** 2, pause = async () => undefined }: Erasing) {
  const woken: string[] = [];
  const deleted: Events['spool.deleted'][] = [];
  const requests: ExtensionRequest[] = [];
  const events = createEventBus();
  events.on('spool.deleted', (event) => deleted.push(event));
  const history = new History(
    { path },
    {
      clock: systemClock,
      run: async (task) => runTask(task, systemClock),
    },
  );
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

export function erasesAUser(make: () => Promise<Spool>): void {
  let spool: Spool;
  beforeEach(async () => {
    spool = await make();
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
}
