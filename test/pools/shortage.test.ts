/** Outcomes of attempts while the process has no free file descriptor. */
import { describe, expect, test } from 'vitest';
import { DELIVERY_SUCCESS, type DeliveryCallbacks } from '../../pools/callbacks.ts';
import { LOCAL_SHORTAGE } from '../../src/kit/dial-tcp.ts';
import { limitDescriptors } from '../support/descriptor-limit.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import { makeMessageJob, serveSessions } from '../support/session-rig.ts';
import { startTarget, type TargetOptions } from '../support/target.ts';

/** Each request needs a new connection. */
const closing: TargetOptions = { script: () => ({ kind: 'answer', headers: [['connection', 'close']], close: true }) };

const short = { kind: 'unsent', code: LOCAL_SHORTAGE, message: expect.stringContaining('EMFILE') };

describe.each(['undici', 'got'] as const)('without a free descriptor, %s', (client) => {
  test('reports the shortage for each request that needs a connection, and sends the request when a descriptor is free', async () => {
    await using target = await startTarget(closing);
    await using limit = limitDescriptors(process.pid);
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, workers: 1 }));
    await thread.deliver(makeJob({ key: 9 }));

    await limit.exhaust();
    const outcomes = [await thread.deliver(makeJob({ key: 1 })), await thread.deliver(makeJob({ key: 2 }))];
    await limit.restore();

    expect(outcomes).toMatchObject([short, short]);
    expect(await thread.deliver(makeJob({ key: 3 }))).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests).toHaveLength(2);
  });

  test('reports the shortage if the name cannot be resolved either', async () => {
    await using target = await startTarget(closing);
    await using limit = limitDescriptors(process.pid);
    await using thread = serveHere(makeThreadSettings({ client, origin: `http://localhost:${target.port}`, workers: 1 }));
    await thread.deliver(makeJob({ key: 9 }));

    await limit.exhaust();
    const outcome = await thread.deliver(makeJob());
    await limit.restore();

    expect(outcome).toMatchObject(short);
  });

  test('calls no callback', async () => {
    await using target = await startTarget(closing);
    await using limit = limitDescriptors(process.pid);
    const called: string[] = [];
    const callbacks: DeliveryCallbacks = {
      statusClassifier: () => {
        called.push('statusClassifier');
        return DELIVERY_SUCCESS;
      },
      disposeTempfail: () => {
        called.push('disposeTempfail');
      },
    };
    await using thread = serveSessions(callbacks, { client, origin: target.origin });
    await thread.deliver(makeMessageJob({ key: 9 }));
    thread.dispose(9, 'delivered');
    expect(called.splice(0)).toEqual(['statusClassifier']);

    await limit.exhaust();
    const judged = await thread.judge(makeMessageJob());
    await limit.restore();

    expect(judged).toEqual({ key: judged.key, outcome: expect.objectContaining(short) });
    expect(await thread.deliver(makeMessageJob({ key: 2 }))).toMatchObject({ kind: 'answered', status: 200 });
    thread.dispose(2, 'delivered');
    expect(called).toEqual(['statusClassifier']);
  });
});

test('without a free descriptor, an ordered request reports the shortage', async () => {
  await using target = await startTarget(closing);
  await using limit = limitDescriptors(process.pid);
  await using thread = serveHere(makeThreadSettings({ client: 'got', origin: '' }));
  const destination = { origin: target.origin, allow: ['127.0.0.1'], ownOrigin: 'http://own.example' };
  expect(await thread.deliver(makeJob({ destination }))).toMatchObject({ kind: 'answered', status: 200 });

  await limit.exhaust();
  const outcome = await thread.deliver(makeJob({ key: 2, destination }));
  await limit.restore();

  expect(outcome).toMatchObject(short);
});
