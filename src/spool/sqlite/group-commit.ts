import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, type Deferred } from '../../kit/lifecycle.ts';
import { Pacer } from '../../kit/pacing.ts';
import { type Answer, type Command, type Committed, isAppend, rowBody } from './protocol.ts';

/** A command that waits for its answer. */
export interface QueuedCommand {
  readonly command: Command;
  answered(answer: Answer | undefined): void;
  failed(error: Error): void;
}

/** Minimum time between two transactions, ms: each costs an fsync, two messages between threads and a wake-up of both. */
const commitEveryMs = 2;

/**
 * How long settlements of successful deliveries may wait for an append, ms. No chat server waits for them, and a commit of their own
 * would delay the appends that arrive meanwhile. They do not wait if there are more than `maxDeferred`, or if the last commit claimed
 * deliveries of a lane, since more of that lane may be on disk.
 */
const settleEveryMs = 10;
const maxDeferred = 128;

/** Interval of maintenance, ms: statistics are this old at most. It is shorter while intake waits for space. */
const maintainEveryMs = 1000;
const maintainClosedEveryMs = 500;

/** Appends that are tried at each maintenance while intake is closed. */
const trialAppends = 64;

/** Limits of a batch, which is one transaction and one message: a larger one saves nothing and delays every caller. */
const maxBatch = 2048;
const maxBatchBytes = 4 * 1024 * 1024;

/**
 * Collects commands while a batch is in the thread, and sends them as the next batch when it returns. Nearly always in one of
 * two states: *idle*, or *in flight* (one batch is in the thread). While intake is *closed*, appends wait here and a few are
 * tried at each maintenance; other commands continue. Other commands that found no space wait for the next maintenance as well
 * (*stalled*).
 */
export class GroupCommit {
  readonly #timers: Timers;
  readonly #post: (commands: readonly Command[], options: { readonly maintain: boolean }) => void;
  readonly #pacer: Pacer;
  #appends: QueuedCommand[] = [];
  #others: QueuedCommand[] = [];
  #inFlight: QueuedCommand[] | undefined;
  /** Whether a command other than the settlement of a successful delivery waits, or the last commit claimed deliveries of a lane. */
  #isUrgent = false;
  #maintenanceDue = false;
  #stopMaintaining: () => void = () => undefined;
  #closed = false;
  #stalled = false;
  #refusal: Error | undefined;
  #drained: Deferred<void> | undefined;

  constructor({
    clock,
    timers,
    post,
  }: {
    readonly clock: Clock;
    readonly timers: Timers;
    post(commands: readonly Command[], options: { readonly maintain: boolean }): void;
  }) {
    this.#timers = timers;
    this.#post = post;
    this.#pacer = new Pacer({ everyMs: commitEveryMs, clock, timers }, () => {
      if (this.#inFlight === undefined && this.#hasSendable()) this.#send();
    });
  }

  /** The command is answered once it is durable. */
  add(queued: QueuedCommand): void {
    if (this.#refusal !== undefined) return queued.failed(this.#refusal);
    (isAppend(queued.command) ? this.#appends : this.#others).push(queued);
    this.#isUrgent ||= queued.command[0] !== 'delivered';
    this.#sendWhenFree();
  }

  /** Sends a batch periodically, even an empty one, so that the thread maintains the file. */
  startMaintaining(): void {
    this.#stopMaintaining = this.#timers.after(maintainEveryMs, () => this.#maintain());
  }

  /** Takes the answers of the batch that was in flight. */
  committed(committed: Committed): void {
    const batch = this.#inFlight ?? [];
    this.#inFlight = undefined;
    this.#closed = committed.closed !== '';
    this.#stalled = false;
    this.#isUrgent ||= batch.some(({ command }, index) => command[0] === 'delivered' && Array.isArray(committed.answers[index]));
    if (committed.undone.length > 0) this.#requeue(committed.undone.flatMap((index) => batch[index] ?? []));
    answerBatch(batch, committed);
    this.#sendWhenFree();
    if (this.#inFlight === undefined && !this.#hasSendable()) this.#drained?.resolve();
  }

  /** Accepts no more commands; resolves when all that can be committed are. The rest fails. */
  async drain(reason: Error): Promise<void> {
    this.#stopMaintaining();
    if (this.#refusal === undefined) {
      this.#refusal = reason;
      this.#drained = createDeferred();
      this.#sendWhenFree();
      if (this.#inFlight !== undefined || this.#hasSendable()) await this.#drained.promise;
    }
    this.fail(this.#refusal);
  }

  /** All commands fail, those in flight and all later ones. */
  fail(error: Error): void {
    this.#stopMaintaining();
    this.#pacer.stop();
    this.#refusal = error;
    const abandoned = [...(this.#inFlight ?? []), ...this.#others, ...this.#appends];
    [this.#inFlight, this.#others, this.#appends] = [undefined, [], []];
    for (const queued of abandoned) queued.failed(error);
    this.#drained?.resolve();
  }

  /** Not at once: commands that arrive in the same turn join the batch. */
  #sendWhenFree(): void {
    if (this.#inFlight !== undefined || !this.#hasSendable()) return;
    const mayWait = !this.#isUrgent && !this.#maintenanceDue && this.#refusal === undefined && this.#others.length <= maxDeferred;
    this.#pacer.nudge(mayWait ? settleEveryMs : commitEveryMs);
  }

  #hasSendable(): boolean {
    return this.#maintenanceDue || (!this.#stalled && this.#others.length > 0) || (!this.#closed && this.#appends.length > 0);
  }

  #send(): void {
    const maintain = this.#maintenanceDue;
    const maxAppends = this.#closed ? (maintain ? trialAppends : 0) : maxBatch;
    const others = this.#stalled && !maintain ? [] : this.#others.splice(0, maxBatch);
    this.#inFlight = [...others, ...this.#appends.splice(0, batchLength(this.#appends, maxAppends))];
    this.#isUrgent = this.#others.length > 0 || this.#appends.length > 0;
    this.#post(
      this.#inFlight.map(({ command }) => command),
      { maintain },
    );
    this.#maintenanceDue = false;
  }

  /** Commands that were not done go before those that came later, because appends keep their order. */
  #requeue(undone: readonly QueuedCommand[]): void {
    this.#appends = [...undone.filter(({ command }) => isAppend(command)), ...this.#appends];
    const undoneOthers = undone.filter(({ command }) => !isAppend(command));
    this.#others = [...undoneOthers, ...this.#others];
    this.#stalled = this.#closed && undoneOthers.length > 0;
  }

  #maintain(): void {
    this.#maintenanceDue = true;
    this.#sendWhenFree();
    this.#stopMaintaining = this.#timers.after(this.#closed ? maintainClosedEveryMs : maintainEveryMs, () => this.#maintain());
  }
}

/** Answers the commands of a batch; those that were not done stay open. */
export function answerBatch(batch: readonly QueuedCommand[], { answers, undone, refused }: Committed): void {
  const open = new Set(undone);
  const reasons = new Map(refused);
  batch.forEach((queued, index) => {
    if (open.has(index)) return;
    const reason = reasons.get(index);
    if (reason === undefined) queued.answered(answers[index]);
    else queued.failed(rowRefused(reason));
  });
}

function rowRefused(reason: string): ServiceError {
  return new ServiceError('SPOOL_ROW_REFUSED', `the spool cannot store it: ${reason}`);
}

/** Number of appends in a batch: at most `limit`, ending with the first one that exceeds the bound on bytes. */
function batchLength(appends: readonly QueuedCommand[], limit: number): number {
  let bytes = 0;
  let count = 0;
  for (const { command } of appends) {
    if (count >= limit || bytes > maxBatchBytes) break;
    bytes += bodyBytes(command);
    count += 1;
  }
  return count;
}

function bodyBytes(command: Command): number {
  if (command[0] !== 'append' && command[0] !== 'append-full') return 0;
  const [, rows] = command;
  let bytes = 0;
  for (const row of rows) bytes += row[rowBody].length;
  if (command[0] === 'append') return bytes;
  const [, , , , , refused] = command;
  for (const [row] of refused) bytes += row[rowBody].length;
  return bytes;
}
