import { describe, expect, test } from 'vitest';
import type { Follow } from '../../src/delivery/attempt.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { idOf, makeDelivery } from '../spool/build.ts';
import { startDeliveryRig } from '../support/delivery-rig.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const queue = 'push:ask';
const timeoutMs = 5000;
/** Maximum time a question waits for a worker, ms. */
const waitMs = 30_000;
const circuitBreaker = { failureRatio: 0.5, minAttempts: 4, windowMs: 30_000, openMs: 10_000, maxOpenMs: 60_000 };
const refused: Outcome = { kind: 'unreachable', code: 'ECONNREFUSED', message: 'refused', durationMs: 1 };

function ask(id: string, rest: Partial<NewDelivery> = {}): NewDelivery {
  const purpose = { kind: 'ask', handler: 'push', packet: '{}' } as const;
  return makeDelivery({ lane: null, handler: queue, ...rest, id, target: { ...makeDelivery().target, purpose } });
}

type RigOptions = NonNullable<Parameters<typeof startDeliveryRig>[0]>;

/** A pool with questions, each of which creates one push. `over` lists the outcomes: `id outcome`. */
async function startAskRig(options: RigOptions = {}) {
  const over: string[] = [];
  const clock = createFakeClock();
  const follow: Follow = ({ attempt: { delivery }, outcome }) => {
    if (delivery.target.purpose === undefined) return undefined;
    over.push(`${delivery.id} ${outcome.kind === 'unsent' ? outcome.message : outcome.kind}`);
    const spawn = [makeDelivery({ id: `${delivery.id}.1`, lane: null })];
    return Promise.resolve({ disposition: { kind: 'delivered' }, spawn, failedPackets: [] });
  };
  const rig = await startDeliveryRig({ handlers: [queue, 'push'], askTimeouts: { [queue]: timeoutMs }, follow, clock, ...options });
  const asked = (id: string, rest: Partial<NewDelivery> = {}) => ask(id, { createdAt: clock.now(), ...rest });
  return { ...rig, rig, over, clock, asked };
}

const numbered = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `a${index + 1}`);

describe('a question', () => {
  test('is sent with its full timeout after any wait, and its push follows at once', async () => {
    const { rig, over, asked, clock } = await startAskRig();
    await rig.accept(asked('a1', { createdAt: clock.now() - 20_000 }));
    expect(rig.threads.open).toMatchObject([{ id: 'a1', within: { until: clock.now() + waitMs + timeoutMs, atMostMs: timeoutMs } }]);
    await rig.answer('a1', 200);
    expect(over).toEqual(['a1 answered']);
    expect(rig.open()).toEqual(['a1.1']);
    expect(rig.threads.open[0]).not.toHaveProperty('within');
  });

  test('is sent once, for any answer', async () => {
    const { rig, over, asked } = await startAskRig();
    for (const [index, status] of [500, 429, 400, 410].entries()) {
      await rig.accept(asked(`a${index}`));
      await rig.answer(`a${index}`, status);
    }
    await rig.pass(60_000);
    expect(over).toEqual(['a0 answered', 'a1 answered', 'a2 answered', 'a3 answered']);
    expect(rig.open()).toEqual(['a0.1', 'a1.1', 'a2.1', 'a3.1']);
  });

  test('without a free worker for 30 s ends without being sent', async () => {
    const { rig, over, asked } = await startAskRig({ workers: 1 });
    await rig.accept(...numbered(3).map((id) => asked(id)));
    expect(rig.open()).toEqual(['a1', 'a2']); // one at the worker, one in reserve
    await rig.pass(waitMs - 1);
    expect(over).toEqual([]);
    await rig.pass(1);
    expect(over).toEqual(['a3 timed-out']);
  });

  test('behind a slow one of its conversation is sent after it with its full timeout', async () => {
    const { rig, over, asked } = await startAskRig();
    await rig.accept(...numbered(3).map((id) => asked(id, { lane: 'ask a' })));
    await rig.pass(timeoutMs);
    await rig.answer('a1', { kind: 'timed-out', phase: 'call', durationMs: timeoutMs });
    expect(over).toEqual(['a1 timed-out']);
    expect(rig.threads.open.find(({ id }) => id === 'a2')?.within).toMatchObject({ atMostMs: timeoutMs });
  });

  test('waits for others of its conversation no longer than for a worker', async () => {
    const { rig, over, asked } = await startAskRig();
    await rig.accept(...numbered(3).map((id) => asked(id, { lane: 'ask a' })));
    expect(rig.open()).toEqual(['a1']);
    await rig.pass(waitMs);
    await rig.answer('a1', { kind: 'timed-out', phase: 'call', durationMs: timeoutMs });
    expect(over).toEqual(['a1 timed-out', 'a2 timed-out', 'a3 timed-out']);
  });

  test('keeps its position: pushes follow in the order of the questions', async () => {
    const { rig, asked } = await startAskRig();
    await rig.accept(...numbered(3).map((id) => asked(id, { lane: 'ask a' })));
    for (const id of numbered(3)) await rig.answer(id, 200);
    expect(rig.open()).toEqual(['a1.1', 'a2.1', 'a3.1']);
  });

  test('does not delay other deliveries', async () => {
    const { rig, asked } = await startAskRig();
    await rig.accept(asked('a1', { lane: 'ask a' }), asked('a2', { lane: 'ask b' }), makeDelivery({ id: 'd1', lane: 'c' }));
    expect(rig.open()).toEqual(['a1', 'a2', 'd1']);
  });

  test('that was accepted before a crash gets its full wait again', async () => {
    const { rig, over, asked, clock } = await startAskRig({ started: false });
    await rig.accept(asked('a1'));
    clock.advance(3_600_000);
    await rig.dispatcher.start();
    rig.dispatcher.wake();
    await rig.pass(0);
    expect(over).toEqual([]);
    expect(rig.threads.open).toMatchObject([{ id: 'a1', within: { until: clock.now() + waitMs + timeoutMs } }]);
  });

  test.each(['', 'push:ask'])('while its pool or its queue is paused (%j), waits, and gets its full wait after the pause', async (name) => {
    const { rig, over, asked } = await startAskRig();
    rig.dispatcher.setPaused(true, name);
    await rig.accept(asked('a1'));
    await rig.pass(3_600_000);
    expect([over, rig.open()]).toEqual([[], []]);
    rig.dispatcher.setPaused(false, name);
    await rig.pass(0);
    expect(rig.open()).toEqual(['a1']);
  });

  test('waits for a rate limit no longer than for a worker', async () => {
    const { rig, over, asked } = await startAskRig({ pool: { rateLimit: { requests: 1, perMs: 60_000, burst: 1 } } });
    await rig.accept(asked('a1'), asked('a2'));
    expect(rig.open()).toEqual(['a1']);
    await rig.pass(waitMs);
    expect(over).toEqual(['a2 timed-out']);
  });

  test('is sent after the clock was set back', async () => {
    const { rig, asked, clock } = await startAskRig();
    await rig.accept(asked('a1', { createdAt: clock.now() + 3_600_000 }));
    expect(rig.threads.open).toMatchObject([{ within: { until: clock.now() + waitMs + timeoutMs } }]);
  });

  test('in a queue without questions ends at once', async () => {
    const { rig, over, asked } = await startAskRig();
    await rig.accept(asked('a1', { handler: 'push' }));
    expect(over).toEqual(['a1 its handler no longer asks questions on this pool']);
    expect(rig.open()).toEqual(['a1.1']);
  });
});

describe('while the circuit breaker of its questions is open', () => {
  async function startShutRig(options: RigOptions = {}) {
    const shut = await startAskRig({ pool: { circuitBreaker }, ...options });
    const { rig, asked } = shut;
    await rig.accept(...[1, 2, 3, 4].map((n) => asked(`b${n}`)));
    for (const n of [1, 2, 3, 4]) await rig.answer(`b${n}`, 503);
    for (const n of [1, 2, 3, 4]) await rig.answer(`b${n}.1`, 200);
    shut.over.length = 0;
    return shut;
  }

  test('each ends at once, and pushes on the same pool continue', async () => {
    const { rig, over, asked } = await startShutRig();
    await rig.accept(asked('a1'));
    expect(over).toEqual(['a1 the circuit breaker is open']);
    expect(rig.open()).toEqual(['a1.1']);
    expect(rig.dispatcher.admission.handler('push').state).toBe('closed');
  });

  test('questions in the spool end too, even more than fit into memory', async () => {
    const { rig, over, asked } = await startAskRig({ pool: { circuitBreaker }, workers: 1 });
    await rig.accept(...numbered(600).map((id) => asked(id)));
    for (let answered = 0; answered < 4; answered += 1) {
      const id = rig.open().find((open) => !open.includes('.')) ?? '';
      await rig.answer(id, 503);
    }
    await rig.pass(0);
    await rig.pass(0);
    await rig.pass(0);
    expect(over.filter((line) => line.endsWith('the circuit breaker is open')).length).toBeGreaterThan(590);
  });

  test('the next question is sent as the probe, and the others wait for its result', async () => {
    const { rig, over, asked } = await startShutRig();
    await rig.pass(10_000);
    await rig.accept(asked('a1'), asked('a2'));
    expect([rig.open(), over]).toEqual([['a1'], []]);
    await rig.answer('a1', 200);
    expect(rig.open()).toEqual(['a2', 'a1.1']);
  });

  test('the same holds for an unreachable pool', async () => {
    const { rig, over, asked } = await startAskRig({ pool: { circuitBreaker } });
    await rig.accept(...[1, 2, 3, 4].map((n) => asked(`b${n}`)));
    for (const n of [1, 2, 3, 4]) await rig.answer(`b${n}`, refused);
    over.length = 0;
    await rig.accept(asked('a1'));
    expect(over).toEqual(['a1 the circuit breaker is open']);
  });
});

test('429 does not pause other questions, and 410 does not pause the pool', async () => {
  let gone = 0;
  const { rig, asked } = await startAskRig({
    pool: { pauseOnGone: true },
    onGone: () => {
      gone += 1;
    },
  });
  await rig.accept(asked('a1'), asked('a2'));
  await rig.answer('a1', { kind: 'answered', status: 429, durationMs: 1, retryAfter: '3600', excerpt: '', truncated: false });
  await rig.answer('a2', 410);
  await rig.accept(asked('a3'));
  expect(rig.open()).toContain('a3');
  expect(gone).toBe(0);
});

test('a question whose thread died is sent again within its remaining time', async () => {
  const { rig, asked, clock } = await startAskRig();
  const until = clock.now() + waitMs + timeoutMs;
  await rig.accept(asked('a1'));
  clock.advance(1000);
  rig.threads.lose([...rig.threads.open]);
  expect(rig.threads.open).toMatchObject([{ id: idOf('a1'), within: { until } }]);
});
