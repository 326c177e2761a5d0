/**
 * How far an archive was read, so that nothing is lost and nothing comes twice although archives are not written in order: a
 * server may give a message its id, and so its place, and store it seconds later (ejabberd: the session that received it has a
 * backlog, even when a new session has replaced it; MongooseIM: writes are delayed). So what was read last says nothing of
 * what is before it. The mark stays behind by a while, and names what was handed over of that while:
 *
 *   … known …  base │ id id id     the question is for all behind the base; what is named here is not handed over again
 */
import type { Clock } from '../../kit/clock.ts';
import type { Mark } from '../../packet/receipt.ts';

export interface TrailOptions {
  /** Where it had got to. */
  readonly mark: Mark | undefined;
  readonly newMark: (epoch: string, h: number) => Mark;
  readonly clock: Clock;
}

/** A message in an archive: its id, and when it was sent, ms. */
export interface Point {
  readonly id: string;
  readonly sentAt: number;
}

/** How a message came, and what it looks like. */
export interface Sight {
  readonly way: 'archived' | 'live';
  readonly print: string;
}

/** An archive may take so long to store a message. */
const lateMs = 90_000;
/** What a mark names at most: it is written in each commit. A busier archive gets less time. */
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
  /** The ids of the steps as a mark has them, each with a comma before it. */
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

  /** Where reading begins; undefined: nothing was ever read. An empty id: at the beginning. */
  get base(): Point | undefined {
    return this.#base;
  }

  /** What was handed over last. */
  get tip(): Point | undefined {
    return this.#steps.at(-1) ?? this.#base;
  }

  /** All up to here is known, or not wanted. */
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

  /** It is handed over now. Gives the mark that says so. */
  add(point: Point, sight: Sight): Mark {
    if (this.#base === undefined) return this.begin(point);
    this.#push(point);
    this.#named(point.id).record(sight);
    this.#shorten();
    return this.#mark(this.#base);
  }

  /** It is handed over now, and no mark says so. */
  addPassing(id: string, sight: Sight): void {
    const named = this.#named(id);
    named.handed += 1;
    named.record(sight);
  }

  /** The archive has it, too: gives the mark that says so, where none does yet. */
  confirm(point: Point): Mark | undefined {
    const named = this.#known.get(point.id);
    if (named === undefined || named.marked >= named.handed || this.#base === undefined) return undefined;
    named.handed -= 1;
    this.#push(point);
    this.#shorten();
    return this.#mark(this.#base);
  }

  /** Whether a message without an id was handed over that looks like this. */
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
    this.#steps.push({ id, sentAt, readAt: this.#clock.monotonic() });
    this.#ids += listed(id);
  }

  #named(name: string): Namesakes {
    const found = this.#known.get(name) ?? new Namesakes();
    this.#known.delete(name);
    this.#known.set(name, found);
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
 * Messages of one id: a single one, but where the id is the time two may have it (ejabberd: in one microsecond). Their looks
 * tell them apart among those that came the same way; a server may change a message on its way into the archive.
 */
class Namesakes {
  handed = 0;
  /** Of those, how many a mark tells of. */
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
    this.#prints.add(print);
    this.#seen[way] += 1;
  }
}

/** The base's id and those behind it, as a mark has them; without any it is the base's id alone. */
export function readEpoch(epoch: string): readonly string[] {
  if (!epoch.startsWith('["')) return [epoch];
  try {
    const ids: unknown = JSON.parse(epoch);
    if (Array.isArray(ids) && ids.every((id) => typeof id === 'string')) return ids;
  } catch {
    // an id that only looks like a list
  }
  return [epoch];
}

/** Whether the base moves to this: not back where ids are numbers, unless the archive has begun to count again. */
function follows(step: Point, base: Point): boolean {
  return !isOlder(step.id, base.id) || step.sentAt > base.sentAt + lateMs;
}

/** Where ids are plain numbers (ejabberd's are the time), their order is that of the archive. */
export function isOlder(id: string, than: string): boolean {
  return /^\d{1,30}$/.test(id) && /^\d{1,30}$/.test(than) && BigInt(id) < BigInt(than);
}
