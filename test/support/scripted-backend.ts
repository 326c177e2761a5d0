import type { EpochMs } from '../../src/kit/clock.ts';
import { systemClock } from '../../src/kit/clock.ts';
import type { TargetRequest } from './request-reader.ts';
import { type Answer, type Script, startTarget, type Target, type TargetOptions } from './target.ts';

/** One request and its response. */
export interface Sighting {
  /** Its `webhook-id`. */
  readonly id: string;
  readonly attempt: number;
  readonly path: string;
  readonly at: EpochMs;
  /** Undefined if it got no status. */
  readonly status: number | undefined;
}

/** A target that records its responses, and whose behaviour can be changed. */
export interface ScriptedBackend extends Target {
  /** One per request, in the order in which they were read. */
  readonly sightings: readonly Sighting[];
  obey(script: Script): void;
  /** From now on it answers 200 to all requests. */
  heal(): void;
}

const healthy: Answer = { kind: 'answer' };

export async function startScriptedBackend({ script = () => healthy, ...options }: TargetOptions = {}): Promise<ScriptedBackend> {
  const sightings: Sighting[] = [];
  let obeyed = script;

  async function act(request: TargetRequest): Promise<Answer> {
    const at = systemClock.now();
    const answer = await obeyed(request);
    sightings.push({
      id: request.header('webhook-id') ?? '',
      attempt: Number(request.header('event-pusher-attempt')),
      path: request.path,
      at,
      status: statusOf(answer),
    });
    return answer;
  }

  const target = await startTarget({ ...options, script: act });
  return Object.assign(target, {
    sightings,
    obey: (next: Script) => {
      obeyed = next;
    },
    heal: () => {
      obeyed = () => healthy;
    },
  });
}

/** One answer after the other, for any request; afterwards each request succeeds. */
export function inTurn(...answers: readonly Answer[]): Script {
  let next = 0;
  return () => {
    next += 1;
    return answers[next - 1] ?? healthy;
  };
}

/** An answer per path; requests to other paths succeed. */
export function byPath(answers: Readonly<Record<string, Answer>>): Script {
  return ({ path }) => answers[path] ?? healthy;
}

/** Draws each answer by its number of tickets; the same seed gives the same sequence. */
export function byLot(seed: number, lots: readonly (readonly [tickets: number, answer: Answer])[]): Script {
  const random = seededRandom(seed);
  const all = lots.reduce((sum, [tickets]) => sum + tickets, 0);
  return () => {
    let ticket = random() * all;
    const drawn = lots.find(([tickets]) => {
      ticket -= tickets;
      return ticket < 0;
    });
    return drawn?.[1] ?? healthy;
  };
}

/** Numbers in [0, 1) determined by a seed (Mulberry32, public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function statusOf(answer: Answer): number | undefined {
  switch (answer.kind) {
    case 'answer':
    case 'endless-body':
    case 'slow-body':
      return answer.status ?? 200;
    case 'bytes':
      return answer.status;
    case 'garbage':
    case 'half-close':
    case 'reset':
    case 'silent':
      return undefined;
    default:
      return answer satisfies never;
  }
}
