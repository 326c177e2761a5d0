import { expect, test } from 'vitest';
import { compactOutcome, JobCompactor, jobOf, outcomeOf } from '../../pools/compact.ts';
import type { Job, KeyedOutcome } from '../../pools/contract.ts';
import { makeJob } from '../support/make-job.ts';

const jobs: readonly (readonly [string, Partial<Job>])[] = [
  ['usual', {}],
  ['without headers, with bytes', { headers: [], body: new Uint8Array([1, 2]) }],
  ['of a handler with callbacks', { message: { handler: 'push', stanza: '<message/>', context: {} } }],
  ['whose response is read', { wantsBody: true }],
  ['with a deadline', { within: { until: 1, atMostMs: 2 } }],
  ['to an origin of its own', { destination: { origin: 'http://localhost', allow: [], ownOrigin: '' } }],
];

test.each(jobs)('a job %s arrives as it was sent', (_what, job) => {
  expect(jobOf(structuredClone(new JobCompactor().compact(makeJob(job))))).toEqual(makeJob(job));
});

test('jobs with the same head share it, and others do not', () => {
  const compactor = new JobCompactor();
  const heads = [{}, {}, { headers: [['x-a', '1']] as const }, { method: 'PUT' }, { path: '/other' }, {}].map((job) => {
    const compact = compactor.compact(makeJob(job));
    return 'key' in compact ? undefined : compact[2];
  });

  expect(heads[0]).toBe(heads[1]);
  expect(heads.map((head) => `${head?.method} ${head?.path} ${head?.headers[0]?.[0]}`)).toEqual([
    'POST /notifications content-type',
    'POST /notifications content-type',
    'POST /notifications x-a',
    'PUT /notifications content-type',
    'POST /other content-type',
    'POST /notifications content-type',
  ]);
});

const answered = { kind: 'answered', status: 200, durationMs: 1.5, retryAfter: undefined, excerpt: 'ok', truncated: false } as const;
const judgement = { verdict: 'success', status: 200, detail: '', origin: 'http', context: {}, awaitsDisposition: false } as const;

test.each<readonly [string, KeyedOutcome]>([
  ['usual', { key: 1, outcome: answered }],
  ['with a retry-after', { key: 1, outcome: { ...answered, status: 429, retryAfter: '5' } }],
  ['with a cut body', { key: 1, outcome: { ...answered, truncated: true } }],
  ['with its body', { key: 1, outcome: { ...answered, body: 'ok' } }],
  ['with a judgement', { key: 1, outcome: answered, judgement }],
  ['of a failure', { key: 1, outcome: { kind: 'timed-out', phase: 'headers', durationMs: 2000 } }],
])('an outcome %s arrives as it was sent', (_what, outcome) => {
  expect(outcomeOf(structuredClone(compactOutcome(outcome)))).toEqual(outcome);
});
