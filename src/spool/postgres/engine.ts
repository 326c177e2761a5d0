import { type Clock, type EpochMs, systemClock } from '../../kit/clock.ts';
import { toError } from '../../kit/errors.ts';
import type { DeliveryId } from '../../model/delivery.ts';
import type { Mark, PacketFacts, PacketId } from '../../model/packet.ts';
import type { HistorySpan } from '../history/record.ts';
import type { Answer, ClaimedRow, Command, Committed, DepthRow, Opened, RefusedCommand } from '../sqlite/protocol.ts';
import { CommandRunner, type LaterAnswer, refusalOf } from './command-runner.ts';
import { bodyOf } from './dead-letter-search.ts';
import { HistoryTable } from './history-table.ts';
import { OperatorCommands } from './operator-commands.ts';
import type { Pending, Queue } from './pending-delivery.ts';
import type { HistoryLimits } from './protocol.ts';
import { isRefusedValue } from './server-errors.ts';
import type { Session } from './session.ts';
import { SpoolState } from './spool-state.ts';

/** Interval at which the size of the tables is measured, ms. */
const measureEveryMs = 10_000;

/**
 * The open spool. A batch of commands is one transaction, usually of one statement; a command that must read the database first has
 * transactions of its own. The rows of claimed deliveries are read together, after the commit.
 */
export class Engine {
  readonly #session: Session;
  readonly #state: SpoolState;
  readonly #runner: CommandRunner;
  readonly #operator: OperatorCommands;
  readonly #clock: Clock;
  readonly #history: HistoryTable | undefined;
  #measureAt = 0;

  constructor(session: Session, limits: HistoryLimits | undefined, clock: Clock = systemClock) {
    this.#session = session;
    this.#clock = clock;
    this.#state = new SpoolState(session);
    this.#history = limits && new HistoryTable(session, limits);
    this.#runner = new CommandRunner(this.#state);
    this.#operator = new OperatorCommands(session, this.#state, this.#runner);
  }

  async open(): Promise<Opened> {
    await this.#session.open();
    await this.#state.load();
    await this.#history?.load();
    return { depths: this.#takeDepths(), paused: [...this.#state.paused], bytes: await this.#measure(), loss: '' };
  }

  /** The span of the history. */
  get held(): HistorySpan | undefined {
    return this.#history?.span;
  }

  async commit(commands: readonly Command[], { maintain, now, records }: BatchOptions): Promise<Committed> {
    const began = this.#clock.monotonic();
    const batch = new Batch();
    for (const command of commands) {
      const refusal = refusalOf(command);
      if (refusal === undefined) await this.#run(command, { batch, now });
      else batch.refuse(refusal);
      if (this.#state.writes.isLarge) await this.#state.flush();
    }
    this.#history?.add(this.#state.writes, { at: now, records });
    await this.#state.flush();
    if (maintain) await this.#history?.trim(now);
    const answers = batch.answers(await this.#rowsOf(batch.claimed));
    const durationMs = this.#clock.monotonic() - began;
    const bytes = maintain && began >= this.#measureAt ? await this.#measure() : undefined;
    const report = { oldest: maintain ? this.#state.pending.oldest() : undefined, bytes, intakeBytes: undefined };
    return { answers, undone: [], refused: batch.refused, depths: this.#takeDepths(), durationMs, closed: '', ...report };
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  async #run(command: Command, { batch, now }: { readonly batch: Batch; readonly now: EpochMs }): Promise<void> {
    switch (command[0]) {
      case 'append':
        return batch.add(this.#runner.append(command, now));
      case 'claim':
        return batch.addLater(this.#runner.claim(command));
      case 'delivered':
      case 'settle': {
        if (this.#state.writes.touches(command[1])) await this.#state.flush(); // one statement changes a row once
        return batch.addLater(command[0] === 'settle' ? this.#runner.settle(command, now) : this.#runner.delivered(command));
      }
      case 'pause':
      case 'resume':
        return batch.add(this.#setPaused(command[1], command[0] === 'pause'));
      default:
        return this.#runAlone(command, { batch, now });
    }
  }

  /**
   * A command whose reads must see all earlier changes, and whose changes are a transaction of their own. It reads before it changes anything, so
   * a value that PostgreSQL refuses in a read, such as a fraction as a position, concerns this command alone.
   */
  async #runAlone(command: LoneCommand, { batch, now }: { readonly batch: Batch; readonly now: EpochMs }): Promise<void> {
    await this.#state.flush();
    try {
      batch.add(await this.#answerTo(command, now));
    } catch (thrown) {
      const error = toError(thrown);
      if (!isRefusedValue(error)) throw error;
      batch.refuse(error.message);
    }
    await this.#state.flush();
  }

  async #answerTo(command: LoneCommand, now: EpochMs): Promise<Answer> {
    switch (command[0]) {
      case 'append-full': {
        const [, , , , , refused, revives] = command;
        if (revives !== undefined) await this.#operator.revive(revives);
        for (const each of refused) this.#runner.addRefused(each, now);
        return this.#runner.append(command, now);
      }
      case 'marks':
        return this.#marks();
      case 'count-dead':
        return this.#operator.count(command[1], command[2]);
      case 'dead-letter':
        return this.#operator.find(command[1]);
      case 'dead-letters':
        return this.#operator.page(command[1]);
      case 'move-queue':
        return this.#operator.moveQueue(command[1], command[2], command[3]);
      case 'purge-dead':
        return this.#operator.purge(command[1], command[2]);
      case 'purge-queue':
        return this.#operator.purgeQueue(command[1], command[2]);
      case 'replay':
        return this.#operator.replay(command[1]);
      case 'shed':
        return this.#operator.shed(command[1], { count: command[2], detail: command[3] }, now);
      case 'extend':
        return this.#operator.extend(command[1]);
      default:
        return command satisfies never;
    }
  }

  #setPaused(pool: string, paused: boolean): readonly string[] {
    this.#state.writes.setPaused(pool, paused);
    if (paused) this.#state.paused.add(pool);
    else this.#state.paused.delete(pool);
    return [...this.#state.paused];
  }

  async #marks(): Promise<readonly Mark[]> {
    const text = 'SELECT attachment, host, node, epoch, h FROM marks';
    const rows = await this.#session.read<MarkColumns>({ name: '', text, values: [] });
    return rows.map(([attachment, host, node, epoch, h]) => ({ attachment, host, node, epoch, h }));
  }

  async #rowsOf(claimed: readonly Pending[]): Promise<ReadonlyMap<number, ClaimedRow>> {
    if (claimed.length === 0) return new Map();
    const rows = await this.#session.read<StoredRow>({ name: 'claimed', text: claimedRows, values: [claimed.map(({ seq }) => seq)] });
    return new Map(rows.map((row) => [row[0], claimedRowOf(row)]));
  }

  #takeDepths(): readonly DepthRow[] {
    return this.#state.pending.queues.takeChanged().map(({ pool, handler, waiting, dead }: Queue) => [pool, handler, waiting, dead]);
  }

  async #measure(): Promise<number> {
    this.#measureAt = this.#clock.monotonic() + measureEveryMs;
    const [row] = await this.#session.read<[bytes: number]>({ name: 'size', text: sizeOfTables, values: [] });
    return row?.[0] ?? 0;
  }
}

interface BatchOptions {
  readonly maintain: boolean;
  readonly now: EpochMs;
  /** For the history. */
  readonly records: string;
}

type OrdinaryKind = 'append' | 'claim' | 'delivered' | 'pause' | 'resume' | 'settle';
type LoneCommand = Exclude<Command, readonly [OrdinaryKind, ...unknown[]]>;

/** The answers of a batch; those with claimed deliveries are made at the end. */
class Batch {
  readonly refused: RefusedCommand[] = [];
  readonly claimed: Pending[] = [];
  readonly #answers: ((rows: ReadonlyMap<number, ClaimedRow>) => Answer | undefined)[] = [];

  add(answer: Answer): void {
    this.#answers.push(() => answer);
  }

  addLater({ claimed, answer }: LaterAnswer<Answer>): void {
    for (const pending of claimed) this.claimed.push(pending);
    this.#answers.push((rows) => answer((wanted) => wanted.map(({ seq }) => rowIn(rows, seq))));
  }

  refuse(reason: string): void {
    this.refused.push([this.#answers.length, reason]);
    this.#answers.push(() => undefined);
  }

  answers(rows: ReadonlyMap<number, ClaimedRow>): readonly (Answer | undefined)[] {
    return this.#answers.map((answer) => answer(rows));
  }
}

function rowIn(rows: ReadonlyMap<number, ClaimedRow>, seq: number): ClaimedRow {
  const row = rows.get(seq);
  if (row === undefined) throw new Error(`delivery ${seq} is not in the database: another program has changed its tables`);
  return row;
}

type MarkColumns = [attachment: string, host: string, node: string, epoch: string, h: number];

type StoredRow = [
  seq: number,
  attempts: number,
  past: number,
  failingSince: number | null,
  context: string | null,
  id: DeliveryId,
  packetId: PacketId,
  host: string,
  handler: string,
  pool: string,
  lane: string | null,
  sender: string,
  receiver: string,
  seenAt: number,
  createdAt: number,
  target: string,
  facts: PacketFacts | null,
  body: string | null,
  raw: Buffer | null,
  isText: boolean,
];

const claimedRows = `SELECT seq, attempts, past, failing_since, context, id, packet_id, host, handler, pool, lane, sender, receiver, seen_at,
  created_at, target, facts, body, raw, is_text FROM deliveries WHERE seq = ANY ($1::bigint[])`;

const sizeOfTables = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`;

function claimedRowOf(row: StoredRow): ClaimedRow {
  const [seq, attempts, past, failingSince, context, id, packetId, host, handler, pool, lane, sender, receiver, ...rest] = row;
  const [seenAt, createdAt, target, facts, text, raw, isText] = rest;
  const body = bodyOf(text, raw, isText) ?? '';
  return [
    ...([seq, attempts, past, failingSince, context, id, packetId, host, handler, pool, lane, sender, receiver] as const),
    ...([seenAt, createdAt, target, body, facts] as const),
  ];
}
