import type { Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import type { QueuedCommand } from '../sqlite/group-commit.ts';
import type { Answer, Command } from '../sqlite/protocol.ts';

/** How long commands of an operator wait for the database, ms. */
export const operatorWaitMs = 10_000;

/** The commands that accept, send and settle events: they wait for as long as the database is unavailable. */
const patient: ReadonlySet<Command[0]> = new Set(['append', 'append-full', 'claim', 'delivered', 'marks', 'settle', 'shed']);

/** A command of an operator, which may be given up before it is answered. */
class Bounded implements QueuedCommand {
  readonly #queued: QueuedCommand;
  readonly #onEnd: (call: Bounded) => void;
  #isOver = false;

  constructor(queued: QueuedCommand, onEnd: (call: Bounded) => void) {
    this.#queued = queued;
    this.#onEnd = onEnd;
  }

  get command(): Command {
    return this.#queued.command;
  }

  answered(answer: Answer | undefined): void {
    if (this.#end()) this.#queued.answered(answer);
  }

  failed(error: Error): void {
    if (this.#end()) this.#queued.failed(error);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#onEnd(this);
    return true;
  }
}

/**
 * Bounds the waits of operators. While the database is unavailable, their new commands are held back, and fail after a time without having had an
 * effect; one that was already in the queue may still take effect when the database is back. Phases: open ⇄ waiting → refusing → open.
 */
export class BoundedCalls {
  readonly #add: (queued: QueuedCommand) => void;
  readonly #timers: Timers;
  readonly #calls = new Set<Bounded>();
  #held: Bounded[] = [];
  #reason: string | undefined;
  #isRefusing = false;
  #cancelTimer: (() => void) | undefined;

  constructor(add: (queued: QueuedCommand) => void, timers: Timers) {
    this.#add = add;
    this.#timers = timers;
  }

  readonly add = (queued: QueuedCommand): void => {
    if (patient.has(queued.command[0])) return this.#add(queued);
    const call = new Bounded(queued, (ended) => this.#calls.delete(ended));
    this.#calls.add(call);
    if (this.#reason === undefined) this.#add(call);
    else if (this.#isRefusing) call.failed(unavailable(this.#reason));
    else this.#held.push(call);
  };

  unavailable(reason: string): void {
    this.#reason = reason;
    this.#cancelTimer ??= this.#timers.after(operatorWaitMs, () => this.#giveUp());
  }

  available(): void {
    this.#end();
    this.#reason = undefined;
    const held = this.#held.splice(0);
    for (const call of held) this.#add(call);
  }

  /** Fails all calls that wait; the spool takes none any more. */
  fail(error: Error): void {
    this.#end();
    for (const call of [...this.#calls]) call.failed(error);
    this.#held = [];
  }

  #end(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#isRefusing = false;
  }

  #giveUp(): void {
    this.#isRefusing = true;
    const error = unavailable(this.#reason ?? '');
    for (const call of [...this.#calls]) call.failed(error);
    this.#held = [];
  }
}

function unavailable(reason: string): ServiceError {
  return new ServiceError('SPOOL_UNAVAILABLE', `the database of the spool is unavailable: ${reason}`);
}
