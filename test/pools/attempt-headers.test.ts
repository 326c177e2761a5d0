import { describe, expect, test } from 'vitest';
import { HTTP_INTERNAL_CONT, type InternalCode, type Session } from '../../pools/callbacks.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import { makeMessageJob, serveSessions } from '../support/session-rig.ts';
import { startTarget } from '../support/target.ts';

const headers = [
  { name: 'X-Team', value: 'chat', replaces: false },
  { name: 'Content-Type', value: 'text/of-pool', replaces: false },
  { name: 'authorization', value: 'Bearer of-pool', replaces: true },
];

/** All values of a header of a request. */
function valuesOf(request: TargetRequest | undefined, wanted: string): readonly string[] {
  return request?.headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value) ?? [];
}

describe.each(['undici', 'got'] as const)('through %s', (client) => {
  test('the headers of a pool are added, except those that a callback has set; credentials are always those of the pool', async () => {
    await using target = await startTarget();
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, headers }));
    await thread.deliver(
      makeJob({
        headers: [
          ['x-team', 'of-callback'],
          ['AUTHORIZATION', 'Basic one'],
          ['Authorization', 'Basic two'],
        ],
      }),
    );
    await thread.deliver(makeJob({ key: 2, headers: [] }));

    const [first, second] = target.requests;
    expect(['x-team', 'content-type', 'authorization'].map((name) => valuesOf(first, name))).toEqual([
      ['of-callback'],
      ['text/of-pool'],
      ['Bearer of-pool'],
    ]);
    expect(['x-team', 'authorization'].map((name) => valuesOf(second, name))).toEqual([['chat'], ['Bearer of-pool']]);
    expect(valuesOf(second, 'webhook-id')).toHaveLength(1);
  });

  test('an authorization in the headers of a pool gives way to that of a callback', async () => {
    await using target = await startTarget();
    const own = [{ name: 'Authorization', value: 'Bearer of-pool', replaces: false }];
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, headers: own }));
    await thread.deliver(makeJob({ headers: [['authorization', 'Basic of-callback']] }));
    expect(valuesOf(target.requests[0], 'authorization')).toEqual(['Basic of-callback']);
  });

  test('the request that a callback at delivery has built gets them, too, and is signed', async () => {
    await using target = await startTarget();
    const buildRequest = (session: Session): InternalCode => {
      session.request.headers['x-team'] = 'of-module';
      session.request.headers['authorization'] = 'Basic of-module';
      return HTTP_INTERNAL_CONT;
    };
    const signing = { ofPool: [`whsec_${'a'.repeat(32)}`], ofHandlers: [] };
    await using thread = serveSessions({ buildRequest }, { client, origin: target.origin, settings: { headers, signing } });
    await thread.judge(makeMessageJob());

    const [request] = target.requests;
    expect(valuesOf(request, 'x-team')).toEqual(['of-module']);
    expect(valuesOf(request, 'authorization')).toEqual(['Bearer of-pool']);
    expect(valuesOf(request, 'webhook-signature')).toHaveLength(1);
  });
});
