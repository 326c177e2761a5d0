/**
 * The read position in an archive, without loss or duplicates although archives are not written in order: a server may assign
 * the id of a message, and thereby its position, seconds before it stores the message (ejabberd: the receiving session has a
 * backlog, even if a new session has replaced it; MongooseIM: writes are delayed). So messages before the last one read may be
 * missing. The mark therefore stays behind by a fixed time and names the messages handed over within that time:
 *
 *   … known …  base │ id id id     a query reads everything after the base; the named messages are not handed over again
 */
import type { Clock } from '../../kit/clock.ts';
import { ownCopy } from '../../kit/own-copy.ts';
import type { Mark } from '../../model/packet.ts';

export interface TrailOptions {
  /** The position of an earlier session. */
  readonly mark: Mark | undefined;
  readonly newMark: (epoch: string, h: number) => Mark;
  readonly clock: Clock;
}

/** A message in an archive: its id, and when it was sent, ms. */
export interface Point {
  readonly id: string;
  readonly sentAt: number;
}

/** How a message was received, and its print. */
export interface Sight {
  readonly way: 'archived' | 'live';
  readonly print: string;
}

/** How long an archive may take to store a message. */
const lateMs = 90_000;
/** Maximum number and size of names in a mark, which is written in each commit. A busy archive gets less time. */
const maxIds = 500;
const maxChars = 12_288;
/** Names in memory: ids, and prints of messages without one. */
const maxNames = 2000;

interface Step extends Point {
  /** By the monotonic clock. */
  readonly readAt: number;
}

export class Trail {
  readonly #newMark: TrailOptions['newMark'];
  readonly #clock: Clock;
  readonly #known = new Map<string, Namesakes>();
  readonly #steps: Step[] = [];
  /** The ids of the steps as in a mark, each with a comma before it. */
  #ids = '';
  #base: Point | undefined;

  constructor({ mark, newMark, clock }: TrailOptions) {
    this.#newMark = newMark;
    this.#clock = clock;
    if (mark === undefined) return;
    const [base = '', ...ids] = readEpoch(mark.epoch);
    this.begin({ id: base, sentAt: mark.h });
    for (const id of ids) this.#push({ id, sentAt: mark.h });
  }

  /** The message after which reading starts; undefined: nothing was ever read. An empty id: the start of the archive. */
  get base(): Point | undefined {
    return this.#base;
  }

  /** The last message that a mark names. */
  get tip(): Point | undefined {
    return this.#steps.at(-1) ?? this.#base;
  }

  /** Moves the base: everything up to here is known or not needed. */
  begin(base: Point): Mark {
    this.#base = base;
    const named = this.#named(base.id);
    [named.handed, named.marked] = [1, 1];
    return this.#mark(base);
  }

  /** Whether this message was handed over. */
  knows(id: string, sight: Sight): boolean {
    return this.#known.get(id)?.include(sight) ?? false;
  }

  /** Records a message that is handed over; returns the mark. */
  add(point: Point, sight: Sight): Mark {
    if (this.#base === undefined) return this.begin(point);
    this.#push(point);
    this.#named(point.id).record(sight);
    this.#shorten();
    return this.#mark(this.#base);
  }

  /** Records a message that is handed over without a mark, and that the archive may have. */
  addUnmarked(id: string, sight: Sight): void {
    const named = this.#named(id);
    named.handed += 1;
    named.record(sight);
  }

  /** The archive has a message that was handed over: returns its mark if no mark names it yet. */
  confirm(point: Point): Mark | undefined {
    const named = this.#known.get(point.id);
    if (named === undefined || named.marked >= named.handed || this.#base === undefined) return undefined;
    named.handed -= 1;
    this.#push(point);
    this.#shorten();
    return this.#mark(this.#base);
  }

  /** Whether a message without an id and with this print was handed over. */
  hasPrint(print: string): boolean {
    return this.#known.has(print);
  }

  addPrint(print: string): void {
    this.#named(print);
  }

  #push({ id, sentAt }: Point): void {
    const named = this.#named(id);
    named.handed += 1;
    named.marked += 1;
    this.#steps.push({ id: ownCopy(id), sentAt, readAt: this.#clock.monotonic() });
    this.#ids += listed(id);
  }

  #named(name: string): Namesakes {
    const found = this.#known.get(name) ?? new Namesakes();
    this.#known.delete(name);
    this.#known.set(ownCopy(name), found);
    const [oldest = ''] = this.#known.keys();
    if (this.#known.size > maxNames) this.#known.delete(oldest);
    return found;
  }

  #shorten(): void {
    const old = this.#clock.monotonic() - lateMs;
    for (let [first] = this.#steps; first !== undefined; [first] = this.#steps) {
      if (first.readAt > old && this.#steps.length <= maxIds && this.#ids.length <= maxChars) return;
      this.#steps.shift();
      this.#ids = this.#ids.slice(listed(first.id).length);
      if (this.#base === undefined || follows(first, this.#base)) this.#base = first;
    }
  }

  #mark({ id, sentAt }: Point): Mark {
    return this.#newMark(this.#steps.length === 0 ? id : `[${JSON.stringify(id)}${this.#ids}]`, sentAt);
  }
}

function listed(id: string): string {
  return `,${JSON.stringify(id)}`;
}

/**
 * Messages with one id: usually one, but if the id is the time, two messages may share it (ejabberd: one microsecond). Their
 * prints distinguish messages received in the same way; a server may change a message before it archives it.
 */
class Namesakes {
  handed = 0;
  /** How many of them a mark names. */
  marked = 0;
  readonly #prints = new Set<string>();
  readonly #seen = { archived: 0, live: 0 };

  include(sight: Sight): boolean {
    if (this.#prints.has(sight.print)) return true;
    if (this.#seen[sight.way] >= this.handed) return false;
    this.record(sight);
    return true;
  }

  record({ way, print }: Sight): void {
    this.#prints.add(ownCopy(print));
    this.#seen[way] += 1;
  }
}

/** The ids of the base and of the messages after it, as written in a mark. */
export function readEpoch(epoch: string): readonly string[] {
  if (!epoch.startsWith('["')) return [epoch];
  try {
    const ids: unknown = JSON.parse(epoch);
    if (Array.isArray(ids) && ids.every((id) => typeof id === 'string')) return ids;
  } catch {
    // an id that starts like a list
  }
  return [epoch];
}

/** Whether the base moves to this id. Numeric ids do not move back, unless the archive has restarted its numbering. */
function follows(step: Point, base: Point): boolean {
  return !isOlder(step.id, base.id) || step.sentAt > base.sentAt + lateMs;
}

/** Whether an id is older, if both are plain numbers (in ejabberd: the time) and thereby have the order of the archive. */
export function isOlder(id: string, than: string): boolean {
  return /^\d{1,30}$/.test(id) && /^\d{1,30}$/.test(than) && BigInt(id) < BigInt(than);
}
