import type { Clock, EpochMs } from '../../kit/clock.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { QueueDepth, SpoolStats } from '../spool.ts';
import type { Committed, DepthRow, Opened } from './protocol.ts';

/** The statistics that the last commit reported. Emits an event for each commit, and when intake opens or closes. */
export class ReportedStats {
  readonly #events: EventSink;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #depths = new Map<string, QueueDepth>();
  readonly #forecast = new Forecast();
  #paused: readonly string[] = [];
  #bytes = 0;
  #loss = '';
  #oldest: ReadonlyMap<string, EpochMs> = new Map();
  #reason = 'the spool is not open yet';

  constructor(events: EventSink, clock: Pick<Clock, 'monotonic'>) {
    this.#events = events;
    this.#clock = clock;
  }

  opened({ depths, paused, bytes, loss }: Opened): void {
    this.#setDepths(depths);
    this.#paused = paused;
    this.#bytes = bytes;
    this.#loss = loss;
    if (loss !== '') this.#events.emit('spool.loss', { reason: loss });
    this.#reason = '';
  }

  committed({ depths, bytes, oldest, intakeBytes, closed, answers, durationMs }: Committed): void {
    this.#setDepths(depths);
    this.#bytes = bytes ?? this.#bytes;
    this.#oldest = oldest ?? this.#oldest;
    if (intakeBytes !== undefined) this.#forecast.note(intakeBytes, this.#clock.monotonic());
    this.#setReason(closed);
    const commands = answers.length;
    if (commands > 0) this.#events.emit('spool.committed', { durationMs, commands });
  }

  readonly paused = (pools: readonly string[]): void => {
    this.#paused = pools;
  };

  /** The engine failed: no more commits. */
  failed(reason: string): void {
    this.#setReason(reason);
  }

  /** The spool was stopped on request: no event. */
  stopped(): void {
    this.#reason = 'the spool is stopped';
  }

  readonly stats = (): SpoolStats => {
    const writable = this.#reason === '';
    return {
      depths: [...this.#depths.values()],
      paused: this.#paused,
      bytes: this.#bytes,
      writable,
      reason: this.#reason,
      oldest: this.#oldest,
      loss: this.#loss,
      fullInMs: writable ? this.#forecast.fullInMs : 0,
    };
  };

  #setDepths(changed: readonly DepthRow[]): void {
    for (const [pool, handler, waiting, dead] of changed) this.#depths.set(`${pool}\n${handler}`, { pool, handler, waiting, dead });
  }

  /** A reason that only changes its text, such as the number of bytes left, causes no event. */
  #setReason(reason: string): void {
    const before = this.#reason;
    this.#reason = reason;
    if ((before === '') !== (reason === '')) this.#events.emit('spool.writable', { writable: reason === '', reason });
  }
}

const sampleEveryMs = 5000;
/** The rate is measured over the last five minutes, and over half a minute at least, ms. */
const windowMs = 5 * 60_000;
const minWindowMs = 30_000;

interface Sample {
  readonly at: number;
  readonly intakeBytes: number;
}

/** Predicts when the spool will be full at the rate of the last five minutes. Instants are monotonic, ms. */
export class Forecast {
  #samples: readonly Sample[] = [];
  #newest: Sample | undefined;

  /** Records the number of bytes that can be stored before intake closes. */
  note(intakeBytes: number, at: number): void {
    this.#newest = { at, intakeBytes };
    const last = this.#samples.at(-1);
    if (last !== undefined && at - last.at < sampleEveryMs) return;
    this.#samples = [...this.#samples.filter((sample) => at - sample.at < windowMs), this.#newest];
  }

  /** Undefined if the spool does not grow, or if the rate is not known yet. */
  get fullInMs(): number | undefined {
    const [oldest] = this.#samples;
    const newest = this.#newest;
    if (oldest === undefined || newest === undefined || newest.at - oldest.at < minWindowMs) return undefined;
    const lostBytes = oldest.intakeBytes - newest.intakeBytes;
    return lostBytes <= 0 ? undefined : (newest.intakeBytes * (newest.at - oldest.at)) / lostBytes;
  }
}
