import type { Job } from '../../pools/contract.ts';
import { toJob } from '../../src/delivery/attempt.ts';
import { type Carrier, type CarrierCallbacks, misplacedReply } from '../../src/delivery/extensions.ts';
import type { DispositionKind, Judgement, Outcome } from '../../src/model/attempt.ts';

/** A carrier without threads: keeps the jobs, and answers them when the test says so. */
export interface ScriptedThreads {
  /** All jobs, in the order of sending. */
  readonly sent: readonly Job[];
  /** Jobs without an answer. */
  readonly open: readonly Job[];
  readonly ended: 'killed' | 'no' | 'stopped';
  openWith(callbacks: CarrierCallbacks): Carrier;
  answer(job: Job, outcome: Outcome, judgement?: Judgement): void;
  /** Dispositions reported to waiting workers: `id disposition`. */
  readonly disposed: readonly string[];
  /** The thread of these jobs has died. */
  lose(jobs: readonly Job[]): void;
}

export function createScriptedThreads(): ScriptedThreads {
  const sent: Job[] = [];
  const open = new Map<number, Job>();
  const ids = new Map<number, string>();
  const disposed: string[] = [];
  let ended: ScriptedThreads['ended'] = 'no';
  let callbacks: CarrierCallbacks | undefined;

  return {
    sent,
    get open() {
      return [...open.values()];
    },
    get ended() {
      return ended;
    },
    openWith: (given) => {
      callbacks = given;
      return {
        start: async () => undefined,
        stop: async () => {
          ended = 'stopped';
        },
        kill: async () => {
          ended = 'killed';
        },
        drain: () => undefined,
        carry: (attempt, options) => {
          const job = toJob(attempt, options);
          if (job === undefined) return void setImmediate(given.onOutcome, options.key, misplacedReply);
          sent.push(job);
          ids.set(job.key, job.id);
          open.set(job.key, job);
        },
        disposed: (key, disposition: DispositionKind) => void disposed.push(`${ids.get(key)} ${disposition}`),
      };
    },
    disposed,
    answer: (job, outcome, judgement) => {
      open.delete(job.key);
      callbacks?.onOutcome(job.key, { outcome, judgement });
    },
    lose: (jobs) => {
      for (const { key } of jobs) open.delete(key);
      callbacks?.onLost(jobs.map(({ key }) => key));
    },
  };
}
