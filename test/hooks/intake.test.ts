import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Evaluation } from '../../src/hooks/evaluate.ts';
import { Intake } from '../../src/hooks/intake.ts';
import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import type { DeliveryId, NewDelivery } from '../../src/model/delivery.ts';
import type { Mark, Receipt } from '../../src/model/packet.ts';
import type { Entry } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { makePacket } from '../support/make-packet.ts';

describe('intake', () => {
  test('appends the deliveries of a packet with its mark, and acknowledges it once they are durable', async () => {
    const scene = createScene();
    scene.accept('a', 1);
    scene.evaluated('a1').resolve(evaluationOf('a1'));
    await settled();

    expect(scene.appended).toEqual(['a1']);
    expect(scene.entries[0]?.mark).toEqual(markOf('a', 1));
    expect(scene.committed).toEqual([]);
    expect(scene.intake.uncommitted).toBe(1);

    scene.written('a1').resolve();
    await scene.intake.idle();

    expect(scene.committed).toEqual(['a1']);
    expect(scene.intake.uncommitted).toBe(0);
    expect(scene.events).toEqual(['packet.seen chat localhost in', 'delivery.accepted http_pool a1 localhost']);
  });

  test('holds a packet back while an earlier one is under evaluation', async () => {
    const scene = createScene();
    for (const number of [1, 2, 3]) scene.accept('a', number);

    scene.evaluated('a3').resolve(evaluationOf('a3'));
    scene.evaluated('a2').resolve(evaluationOf('a2'));
    await settled();
    expect(scene.appended).toEqual([]);

    scene.evaluated('a1').resolve(evaluationOf('a1'));
    await settled();
    expect(scene.appended).toEqual(['a1', 'a2', 'a3']);
  });

  test('continues one stream while another waits', async () => {
    const scene = createScene();
    scene.accept('a', 1);
    scene.accept('b', 1);

    scene.evaluated('b1').resolve(evaluationOf('b1'));
    await settled();
    scene.written('b1').resolve();
    await settled();

    expect(scene.committed).toEqual(['b1']);
    expect(scene.intake.uncommitted).toBe(1);
  });

  test('writes the mark of a packet that no handler matches, and of skipped items', async () => {
    const scene = createScene();
    scene.accept('a', 1);
    scene.intake.accept(undefined, scene.receipt('a', 2));
    scene.evaluated('a1').resolve(nothing);
    await settled();

    expect(scene.entries).toEqual([1, 2].map((h) => ({ deliveries: [], deadLetters: [], mark: markOf('a', h) })));
  });

  test('acknowledges in order, and without an append, packets without deliveries or a mark', async () => {
    const scene = createScene();
    scene.accept('a', 1);
    scene.intake.accept(undefined, { ...scene.receipt('a', 2), mark: undefined });
    await settled();
    expect(scene.committed).toEqual([]);

    scene.evaluated('a1').resolve(nothing);
    await settled();
    scene.written('a mark 1').resolve();
    await scene.intake.idle();

    expect(scene.committed).toEqual(['a1', 'a2']);
    expect(scene.entries).toHaveLength(1);
  });

  test('acknowledges nothing more of a stream whose append failed, and reports the failure once', async () => {
    const scene = createScene();
    for (const number of [1, 2, 3]) scene.accept('a', number);
    for (const name of ['a1', 'a2', 'a3']) scene.evaluated(name).resolve(evaluationOf(name));
    await settled();

    scene.written('a1').resolve();
    scene.written('a2').reject(new Error('the disk is gone'));
    scene.written('a3').resolve();
    await scene.intake.idle();
    scene.accept('a', 4);
    await settled();

    expect(scene.committed).toEqual(['a1']);
    expect(scene.appended).toEqual(['a1', 'a2', 'a3']);
    expect(scene.failures).toEqual(['the disk is gone']);
    expect(scene.intake.uncommitted).toBe(0);
  });

  test('continues other streams after one has failed, and reports only the first failure', async () => {
    const scene = createScene();
    for (const stream of ['a', 'b', 'c']) scene.accept(stream, 1);
    for (const name of ['a1', 'b1', 'c1']) scene.evaluated(name).resolve(evaluationOf(name));
    await settled();

    scene.written('a1').reject(new Error('first'));
    scene.written('b1').reject(new Error('second'));
    scene.written('c1').resolve();
    await scene.intake.idle();

    expect(scene.committed).toEqual(['c1']);
    expect(scene.failures).toEqual(['first']);
  });

  test('treats an evaluation that throws like a failed append', async () => {
    const scene = createScene();
    scene.accept('a', 1);
    scene.evaluated('a1').reject(new Error('an internal error'));
    await scene.intake.idle();

    expect(scene.failures).toEqual(['an internal error']);
    expect(scene.committed).toEqual([]);
  });

  test('appends and acknowledges each stream in the order of its packets, for any duration of each step', async () => {
    const packets = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 30 });

    await fc.assert(
      fc.asyncProperty(packets, fc.infiniteStream(fc.nat()), async (streams, picks) => {
        const scene = createScene();
        const expected = streams.map((stream, index) => `${stream}${index}`);
        streams.forEach((stream, index) => {
          scene.accept(stream, index);
        });

        while (scene.open.size > 0) {
          const names = [...scene.open.keys()];
          const [pick = 0] = picks.take(1);
          scene.open.get(names[pick % names.length] ?? '')?.();
          await settled();
        }
        await scene.intake.idle();

        for (const stream of ['a', 'b', 'c']) {
          const ofStream = (name: string) => name.startsWith(stream);
          expect(scene.appended.filter(ofStream)).toEqual(expected.filter(ofStream));
          expect(scene.committed.filter(ofStream)).toEqual(expected.filter(ofStream));
        }
      }),
    );
  });
});

const nothing: Evaluation = { deliveries: [], deadLetters: [] };

/** An intake whose evaluations and appends end on request of the test. Packets are named by stream and number. */
function createScene() {
  const evaluations = new Map<string, Deferred<Evaluation>>();
  const writes = new Map<string, Deferred<void>>();
  const open = new Map<string, () => void>();
  const entries: Pick<Entry, 'deadLetters' | 'deliveries' | 'mark'>[] = [];
  const appended: string[] = [];
  const committed: string[] = [];
  const failures: string[] = [];
  const seen: string[] = [];

  const events = createEventBus();
  events.on('packet.seen', ({ attachment, host, direction }) => seen.push(`packet.seen ${attachment} ${host} ${direction}`));
  events.on('delivery.accepted', ({ pool, handler, host }) => seen.push(`delivery.accepted ${pool} ${handler} ${host}`));

  const intake = new Intake({
    evaluate: ({ id }) => pending(evaluations, id, evaluationOf(id)),
    append: (entry, { done, failed }) => {
      const name = entry.deliveries[0]?.handler ?? `${entry.mark?.attachment} mark ${entry.mark?.h}`;
      entries.push(entry);
      appended.push(name);
      pending(writes, name, undefined).then(done, failed);
    },
    onFailed: (error) => failures.push(error.message),
    events,
  });

  function pending<T>(kept: Map<string, Deferred<T>>, name: string, value: T): Promise<T> {
    const deferred = createDeferred<T>();
    const key = `${kept === writes ? 'write' : 'evaluate'} ${name}`;
    kept.set(name, deferred);
    open.set(key, () => {
      open.delete(key);
      deferred.resolve(value);
    });
    return deferred.promise;
  }

  function receipt(stream: string, number: number): Receipt {
    return { stream, mark: markOf(stream, number), committed: () => committed.push(`${stream}${number}`) };
  }

  return {
    intake,
    entries,
    appended,
    committed,
    failures,
    open,
    events: seen,
    receipt,
    accept: (stream: string, number: number) => intake.accept(makePacket({ id: `${stream}${number}` }), receipt(stream, number)),
    evaluated: (name: string) => known(evaluations, name),
    written: (name: string) => known(writes, name),
  };
}

function known<T>(kept: ReadonlyMap<string, T>, name: string): T {
  const found = kept.get(name);
  if (found === undefined) throw new Error(`${name} is not pending`);
  return found;
}

function markOf(attachment: string, h: number): Mark {
  return { attachment, host: 'localhost', node: 'n1', epoch: 'e1', h };
}

/** An evaluation with one delivery, of a handler with this name. */
function evaluationOf(handler: string): Evaluation {
  const delivery = {
    id: 'd' as DeliveryId,
    packetId: makePacket().id,
    host: 'localhost',
    handler,
    pool: 'http_pool',
    lane: null,
    sender: 'alice@localhost',
    receiver: 'bob@localhost',
    target: { kind: 'http', method: 'POST', path: '/', headers: [] },
    body: '',
    seenAt: 0,
    createdAt: 0,
    facts: undefined,
  } satisfies NewDelivery;
  return { deliveries: [delivery], deadLetters: [] };
}

/** Resolves after all pending promise reactions. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
