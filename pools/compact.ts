/**
 * The usual job and the usual outcome on their way between the threads: tuples, because a message that names every field of every
 * object costs about three times as much to copy; so does one transferred buffer with the bytes of all.
 */
import type { CompactJob, CompactOutcome, Job, KeyedOutcome, RequestHead } from './contract.ts';

/** A job of a handler without callbacks at delivery: the request is complete, and its response needs only the usual outcome. */
function isUsual({ message, wantsBody, destination, within, signer }: Job): boolean {
  return (message ?? wantsBody ?? destination ?? within ?? signer) === undefined;
}

/** Makes compact jobs. Those with the same head share one object, which a message then contains once. */
export class JobCompactor {
  readonly #heads = new HeadTable((head) => head);

  compact(job: Job): CompactJob | Job {
    if (!isUsual(job)) return job;
    const { key, attempt, id, seenAt, body } = job;
    return [key, attempt, this.#heads.of(job), id, seenAt, body];
  }
}

/** Paths may depend on the event, so their number has no limit: the table begins again after so many. */
const maxHeads = 100;

/** What is known about the heads of requests: one entry for each path, that of its latest head. */
export class HeadTable<Known extends RequestHead> {
  readonly #make: (head: RequestHead) => Known;
  readonly #byPath = new Map<string, Known>();

  constructor(make: (head: RequestHead) => Known) {
    this.#make = make;
  }

  of({ method, path, headers }: RequestHead): Known {
    let known = this.#byPath.get(path);
    if (known !== undefined && method === known.method && isSame(headers, known.headers)) return known;
    if (this.#byPath.size >= maxHeads) this.#byPath.clear();
    known = this.#make({ method, path, headers });
    this.#byPath.set(path, known);
    return known;
  }
}

function isSame(headers: RequestHead['headers'], others: RequestHead['headers']): boolean {
  return (
    headers.length === others.length && headers.every(([name, value], index) => others[index]?.[0] === name && others[index][1] === value)
  );
}

export function jobOf(sent: CompactJob | Job): Job {
  if ('key' in sent) return sent;
  const [key, attempt, { method, path, headers }, id, seenAt, body] = sent;
  return { key, id, attempt, method, path, headers, body, seenAt };
}

/** An outcome is usual if it is a whole answer without `retry-after`, of which the body is not requested. */
export function compactOutcome(keyed: KeyedOutcome): CompactOutcome | KeyedOutcome {
  const { key, outcome, judgement } = keyed;
  if (judgement !== undefined || outcome.kind !== 'answered') return keyed;
  const { status, durationMs, retryAfter, excerpt, truncated, body } = outcome;
  return retryAfter === undefined && !truncated && body === undefined ? [key, status, durationMs, excerpt] : keyed;
}

export function outcomeOf(sent: CompactOutcome | KeyedOutcome): KeyedOutcome {
  if ('key' in sent) return sent;
  const [key, status, durationMs, excerpt] = sent;
  return { key, outcome: { kind: 'answered', status, durationMs, retryAfter: undefined, excerpt, truncated: false } };
}
