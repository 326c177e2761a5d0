import { expect, test } from 'vitest';
import type { Verdict } from '../../src/delivery/classify.ts';
import { type Fault, faultOf } from '../../src/delivery/fault.ts';
import type { Judgement, Outcome, StatusOrigin } from '../../src/model/attempt.ts';

const answered: Outcome = { kind: 'answered', status: 503, durationMs: 1, retryAfter: undefined, excerpt: '', truncated: false };
const deferred: Verdict = { kind: 'deferred', reason: '', retryAfterMs: undefined };
const judged = (origin: StatusOrigin): Judgement => ({
  verdict: 'tempfailed',
  status: 1,
  detail: '',
  origin,
  context: {},
  awaitsDisposition: false,
});

test.each<readonly [string, Outcome, Judgement | undefined, Verdict, Fault]>([
  ['an accepted request', answered, undefined, { kind: 'accepted' }, 'none'],
  ['a request that is refused for good', answered, undefined, { kind: 'refused', by: 'backend', reason: '' }, 'none'],
  ['an answer that says "later"', answered, undefined, deferred, 'path'],
  ['an answer whose status says "later"', answered, judged('http'), deferred, 'path'],
  ['an answer that a module reads as "later"', answered, judged('module'), deferred, 'none'],
  ['an answer that a callback could not read', answered, judged('internal'), deferred, 'ours'],
  ['a connection that is refused', { kind: 'unreachable', code: 'X', message: '', durationMs: 1 }, undefined, deferred, 'connection'],
  ['a connect that takes too long', { kind: 'timed-out', phase: 'connect', durationMs: 1 }, undefined, deferred, 'connection'],
  ['an answer that takes too long', { kind: 'timed-out', phase: 'headers', durationMs: 1 }, undefined, deferred, 'path'],
  ['a connection that breaks', { kind: 'broken', code: 'X', message: '', durationMs: 1 }, undefined, deferred, 'path'],
  ['a request that was never sent', { kind: 'unsent', code: 'X', message: '', durationMs: 1 }, judged('internal'), deferred, 'ours'],
])('%s', (_name, outcome, judgement, verdict, fault) => {
  expect(faultOf(outcome, judgement, verdict)).toBe(fault);
});
