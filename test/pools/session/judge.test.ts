import { describe, expect, test } from 'vitest';
import { failureStatus } from '../../../pools/session/judge.ts';
import type { HttpOutcome } from '../../../src/model/attempt.ts';
import { makeSelfSigned } from '../../support/self-signed.ts';
import { makeMessageJob, serveSessions } from '../../support/session-rig.ts';
import { freePort, startTarget, type TargetOptions } from '../../support/target.ts';

type Failed = Exclude<HttpOutcome, { kind: 'answered' | 'unsent' }>;

test.each<[status: number, kind: 'broken' | 'unreachable', code: string, scheme: 'http' | 'https']>([
  [590, 'unreachable', 'ENOTFOUND', 'http'],
  [590, 'unreachable', 'EAI_AGAIN', 'https'],
  [591, 'unreachable', 'ECONNREFUSED', 'https'],
  [591, 'unreachable', 'EHOSTUNREACH', 'http'],
  [591, 'unreachable', 'ENETUNREACH', 'https'],
  [591, 'unreachable', 'EMFILE', 'https'],
  [592, 'unreachable', 'CERT_HAS_EXPIRED', 'https'],
  [592, 'unreachable', 'ERR_TLS_CERT_ALTNAME_INVALID', 'https'],
  [592, 'unreachable', 'EPROTO', 'https'],
  [592, 'unreachable', 'ECONNRESET', 'https'],
  [593, 'unreachable', 'ETIMEDOUT', 'http'],
  [594, 'unreachable', 'ECONNRESET', 'http'],
  [594, 'broken', 'ECONNRESET', 'https'],
  [594, 'broken', 'EPIPE', 'http'],
  [596, 'broken', 'HPE_INVALID', 'http'],
  [596, 'broken', 'HPE_HEADER_OVERFLOW', 'https'],
])('%i is %s with %s over %s', (status, kind, code, scheme) => {
  const outcome: Failed = { kind, code, message: '', durationMs: 1 };
  expect(failureStatus(outcome, { secure: scheme === 'https' })).toBe(status);
});

test.each([
  [593, 'connect'],
  [595, 'headers'],
  [595, 'body'],
  [595, 'call'],
] as const)('%i is out of time in %s', (status, phase) => {
  expect(failureStatus({ kind: 'timed-out', phase, durationMs: 1 }, { secure: false })).toBe(status);
});

describe.each(['undici', 'got'] as const)('over %s', (client) => {
  async function ask(origin: string, requestTimeoutMs = 20_000) {
    const asked: unknown[] = [];
    const calls: string[] = [];
    await using thread = serveSessions(
      {
        handleResponse: () => void calls.push('handleResponse'),
        statusClassifier: (status, { origin: by }) => {
          asked.push([status, by]);
          return 4;
        },
      },
      { client, origin, settings: { requestTimeoutMs } },
    );
    const { judgement } = await thread.judge(makeMessageJob());
    return { asked, calls, judgement };
  }

  const cases: [status: number, what: string, target: TargetOptions, scheme?: 'https:'][] = [
    [592, 'a self-signed certificate', { tls: makeSelfSigned(['IP:127.0.0.1']) }],
    [593, 'a handshake without a response', { onConnect: 'mute' }, 'https:'],
    [594, 'a reset', { script: () => ({ kind: 'reset' }) }],
    [594, 'an incomplete response', { script: () => ({ kind: 'answer', body: 'half', contentLength: 8, close: true }) }],
    [595, 'no response', { script: () => ({ kind: 'silent' }) }],
    [596, 'a response that is not HTTP', { script: () => ({ kind: 'garbage' }) }],
  ];

  test.each(cases)('the classifier is asked about %i for %s, and handleResponse is not called', async (status, _what, target, scheme) => {
    await using backend = await startTarget(target);
    const { asked, calls, judgement } = await ask(
      backend.origin.replace('http:', scheme ?? 'http:'),
      [593, 595].includes(status) ? 60 : 20_000,
    );

    expect(asked).toEqual([[status, 'internal']]);
    expect(calls).toEqual([]);
    expect(judgement).toMatchObject({ verdict: 'permfailed', status, origin: 'internal', detail: expect.stringMatching(/./) });
  });

  test('the classifier is asked about 591 for a port without a listener', async () => {
    expect(await ask(`http://127.0.0.1:${await freePort()}`)).toMatchObject({ asked: [[591, 'internal']], calls: [] });
  });
});
