import type { Job } from '../../pools/contract.ts';
import type { PoolThreadsCallbacks } from '../../src/delivery/pool-thread.ts';
import type { PoolThreads } from '../../src/delivery/pool-threads.ts';
import type { DispositionKind, Judgement, Outcome } from '../../src/model/attempt.ts';

/** A pool's threads without threads: keeps what it is sent, and answers when and as the test says. */
export interface ScriptedThreads {
  /** All that was sent, in its order. */
  readonly sent: readonly Job[];
  /** What was sent and is not answered. */
  readonly open: readonly Job[];
  readonly ended: 'killed' | 'no' | 'stopped';
  openWith(callbacks: PoolThreadsCallbacks): PoolThreads;
  answer(job: Job, outcome: Outcome, judgement?: Judgement): void;
  /** What workers that wait for it were told: `id disposition`. */
  readonly disposed: readonly string[];
  /** The thread that had these has died. */
  lose(jobs: readonly Job[]): void;
}

export function createScriptedThreads(): ScriptedThreads {
  const sent: Job[] = [];
  const open = new Map<number, Job>();
  const ids = new Map<number, string>();
  const disposed: string[] = [];
  let ended: ScriptedThreads['ended'] = 'no';
  let callbacks: PoolThreadsCallbacks | undefined;

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
        send: (job) => {
          sent.push(job);
          ids.set(job.key, job.id);
          open.set(job.key, job);
        },
        disposed: (key, disposition: DispositionKind) => disposed.push(`${ids.get(key)} ${disposition}`),
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
